"""T27: the worst recovery was six minutes, nearly all of it our own waiting: the end of a runner is what counts."""

from andon.sim.drills.drill import Drill
from andon.sim.simulation.played_host import PlayedHost
from andon.sim.simulation.simulation import Simulation


async def _known(fleet: Simulation) -> None:
    """The process is ended from outside before it had its job, and its host says so. R27: <= 30 s."""
    job, host = await _a_runner_that_hangs(fleet)
    await host.end_a_runner(host.live_claims()[0])
    await fleet.until("the job runs on another runner", lambda: fleet.runs(job), 30)


async def _nobody_saw_it(fleet: Simulation) -> None:
    """The host restarts under it, so that nobody saw the end. R27: <= 60 s after it is back."""
    job, host = await _a_runner_that_hangs(fleet)
    await host.reboot()
    await fleet.pass_time(20.0)
    host.start_agent()
    await fleet.until("the job runs on another runner", lambda: fleet.runs(job), 60)


async def _a_runner_that_hangs(fleet: Simulation) -> tuple[int, PlayedHost]:
    for host in fleet.hosts.values():
        host.starts_hang = 1.0
    (job,) = fleet.run([60.0])
    await fleet.until("a runner was started", lambda: any(host.live_claims() for host in fleet.hosts.values()), 60)
    for host in fleet.hosts.values():
        host.starts_hang = 0.0
    await fleet.pass_time(5.0)
    return job, next(host for host in fleet.hosts.values() if host.live_claims())


DRILLS = (
    Drill(id="T27", title="a reported end is enough: given out again in 30 s", protection="end reports", story=_known),
    Drill(
        id="T27b",
        title="a host restarts under its runner: given out again in 60 s",
        protection="end reports",
        story=_nobody_saw_it,
    ),
)
