"""T7: what was given up has to end, or its slot is lost."""

from andon.sim.drills.drill import Drill
from andon.sim.simulation.simulation import Shape, Simulation


async def _slot_is_free_again(fleet: Simulation) -> None:
    """The only slot is held by a runner that hangs: it is ended, or nothing runs here any more."""
    host = fleet.hosts["host-0"]
    host.starts_hang = 1.0
    (job,) = fleet.run([60.0])
    await fleet.until("a runner was started", host.live_claims, 60)
    host.starts_hang = 0.0
    await fleet.until("the job runs on the only slot", lambda: fleet.runs(job), 300)


DRILLS = (
    Drill(
        id="T7",
        title="a runner that was given up is ended, and its slot serves again",
        protection="orders to stop",
        story=_slot_is_free_again,
        shape=Shape(hosts=1, slots=1),
    ),
)
