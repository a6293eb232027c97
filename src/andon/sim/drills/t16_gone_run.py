"""T16: rows that waited for 28 days, since nothing covered their state: demand ends with what it is for."""

from andon.sim.drills.drill import Drill, expect, read, runners_made
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


async def _not_found_for_a_while(fleet: Simulation) -> None:
    """GitHub does not find a run for three minutes while its job works: it is no end of the job."""
    (job,) = fleet.run([1200.0])
    await fleet.until("it runs", lambda: fleet.runs(job), 30)
    await fleet.pass_time(200.0)
    world = fleet.github.world
    run = world.jobs[job].run
    here = (world.runs, run.repository.runs, run.repository.open_runs)
    for each in here:
        del each[run.id]
    for _ in range(20):
        await fleet.pass_time(10.0)
        shown = {each["status"] for each in await read(fleet, "/api/v1/jobs")}
        expect(fleet, shown == {"in_progress"}, f"the job that works is shown as {shown}")
    for each in here:
        each[run.id] = run
    await fleet.until("it is over", lambda: fleet.is_over(job), 1200)


DRILLS = (
    Drill(
        id="T16",
        title="a run that is gone from GitHub is demand no more",
        protection="runs that are gone",
        story=_deleted,
    ),
    Drill(
        id="T16b",
        title="a run that GitHub does not find for a while is not over",
        protection="several looks",
        story=_not_found_for_a_while,
    ),
)
