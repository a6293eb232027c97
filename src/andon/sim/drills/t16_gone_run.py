"""T16: rows that waited for 28 days, since nothing covered their state: demand ends with what it is for."""

from andon.sim.drills.drill import Drill, expect, runners_made
from andon.sim.simulation.simulation import Simulation


async def _deleted(fleet: Simulation) -> None:
    """A run is deleted at GitHub while its job waits, and nobody is told: half an hour later nothing is made for it."""
    for host in fleet.hosts.values():
        host.starts_hang = 1.0
    (job,) = fleet.run([30.0])
    await fleet.pass_time(20.0)
    world = fleet.github.world
    run = world.jobs[job].run
    fleet.fault(kind="delivery_never_created")
    fleet.github.runs.cancel(run)
    fleet.github.faults.clear()
    del world.jobs[job], world.runs[run.id], run.repository.runs[run.id]
    for host in fleet.hosts.values():
        host.starts_hang = 0.0
    await fleet.pass_time(1800.0)
    made = runners_made(fleet)
    await fleet.pass_time(1800.0)
    expect(fleet, runners_made(fleet) == made, "runners are still made for a job that is gone")
    expect(fleet, not fleet.registered(), "a runner is kept for a job that is gone")


DRILLS = (
    Drill(
        id="T16",
        title="a run that is gone from GitHub is demand no more",
        protection="runs that are gone",
        story=_deleted,
    ),
)
