"""T18: no budget of an owner; a noisy one took the fleet."""

from andon.sim.drills.drill import Drill, expect
from andon.sim.simulation.simulation import Shape, Simulation


async def _burst(fleet: Simulation) -> None:
    """Twenty jobs at once of an owner with two of four slots: never more than two run, and all get their turn."""
    jobs = fleet.run([20.0] * 20)
    most = 0
    for _ in range(600):
        await fleet.pass_time(1.0)
        most = max(most, sum(host.jobs_running for host in fleet.hosts.values()))
        if fleet.is_over(*jobs):
            break
    expect(fleet, most == 2, f"{most} jobs ran at once; the cap is 2")
    expect(fleet, fleet.is_over(*jobs), "the burst is not over after ten minutes")


DRILLS = (
    Drill(
        id="T18",
        title="an owner's burst never takes more than his cap",
        protection="caps",
        story=_burst,
        shape=Shape(hosts=2, slots=2, max_slots=2),
    ),
)
