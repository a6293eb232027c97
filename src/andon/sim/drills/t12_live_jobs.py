"""T10, T11, T12: what reaps leaked claims must never end a live job, whatever our own tables say."""

from andon.sim.drills.drill import Drill
from andon.sim.simulation.simulation import Simulation


async def _deploys(fleet: Simulation) -> None:
    """The control plane and every agent are replaced, again and again, under running jobs."""
    jobs = fleet.run([1500.0, 1500.0, 1500.0, 1500.0])
    await fleet.until("all run", lambda: fleet.runs(*jobs), 60)
    for _ in range(5):
        await fleet.replica.end()
        for host in fleet.hosts.values():
            await host.end_agent()
        await fleet.pass_time(60.0)
        await fleet.replica.start()
        for host in fleet.hosts.values():
            host.start_agent()
        await fleet.pass_time(120.0)
    await fleet.until("all are over", lambda: fleet.is_over(*jobs), 1800)
    _all_succeeded(fleet, jobs)


async def _host_unheard(fleet: Simulation) -> None:
    """A host is cut off from us, not from GitHub, for half an hour: its jobs go on."""
    jobs = fleet.run([2400.0, 2400.0, 2400.0, 2400.0])
    await fleet.until("all run", lambda: fleet.runs(*jobs), 60)
    fleet.address.cut.add("host-0")
    await fleet.pass_time(1800.0)
    fleet.address.cut.clear()
    await fleet.until("all are over", lambda: fleet.is_over(*jobs), 1800)
    _all_succeeded(fleet, jobs)


def _all_succeeded(fleet: Simulation, jobs: list[int]) -> None:
    for job in jobs:
        if fleet.job(job).conclusion != "success":
            fleet.violations.append(f"job {job} ended as {fleet.job(job).conclusion}")


DRILLS = (
    Drill(
        id="T10",
        title="running jobs survive five deploys",
        protection="only explicit orders end a runner",
        story=_deploys,
    ),
    Drill(
        id="T12",
        title="jobs on a host that we cannot hear are left alone",
        protection="silence is unknown",
        story=_host_unheard,
    ),
)
