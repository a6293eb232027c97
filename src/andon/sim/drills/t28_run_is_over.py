"""T28: a run ended as startup_failure while a job of it said queued for ever; T16: nothing waits without an end."""

from andon.sim.drills.drill import Drill, expect, runners_made
from andon.sim.sandbox.records import Stage
from andon.sim.simulation.simulation import Simulation


async def _closed(fleet: Simulation) -> None:
    """The job is closed with the run's conclusion, and no runner waits for it (R7)."""
    fleet.fault(kind="run_startup_failure", count=1)
    (job,) = fleet.run([30.0])
    await fleet.pass_time(240.0)
    await fleet.until("no runner is kept for it", lambda: not fleet.registered(), 360)
    made = runners_made(fleet)
    await fleet.pass_time(900.0)
    expect(fleet, runners_made(fleet) == made, "runners are still made for a job whose run is over")
    expect(fleet, fleet.job(job).stage is Stage.QUEUED, "the drill did not play what it tells of")


DRILLS = (
    Drill(
        id="T28",
        title="a queued job of a run that is over is closed",
        protection="the run's end",
        story=_closed,
    ),
)
