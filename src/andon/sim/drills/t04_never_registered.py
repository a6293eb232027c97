"""T4: runners got the job's credential and never registered, because every host looped on a failing step."""

from andon.sim.drills.drill import Drill, expect, runners_made
from andon.sim.simulation.simulation import Simulation


async def _ends_at_once(fleet: Simulation) -> None:
    """No host starts anything; the end of each runner is reported. R27: dispatched again in <= 30 s."""
    fleet.hosts["host-1"].starts_fail = 1.0
    fleet.hosts["host-0"].starts_fail = 1.0
    (job,) = fleet.run([60.0])
    await fleet.until("a runner was made", lambda: runners_made(fleet), 60)
    await fleet.pass_time(3.0)
    fleet.hosts["host-0"].starts_fail = fleet.hosts["host-1"].starts_fail = 0.0
    await fleet.until("the job runs on another runner", lambda: fleet.runs(job), 30)


async def _hangs(fleet: Simulation) -> None:
    """The first runner lives and does nothing, and nobody says so. R27: <= 4 min with no evidence at all."""
    for host in fleet.hosts.values():
        host.starts_hang = 1.0
    (job,) = fleet.run([60.0])
    await fleet.until("a runner was started", lambda: any(host.live_claims() for host in fleet.hosts.values()), 60)
    for host in fleet.hosts.values():
        host.starts_hang = 0.0
    await fleet.until("the job runs on another runner", lambda: fleet.runs(job), 240)
    await fleet.pass_time(30.0)
    # The end of the first one is reported by now: it is no end of the second.
    expect(fleet, runners_made(fleet) == 2, f"{runners_made(fleet)} runners were made; one failed")


DRILLS = (
    Drill(
        id="T4",
        title="a runner ends before it registers: given out again in 30 s",
        protection="ends that are told or seen",
        story=_ends_at_once,
    ),
    Drill(
        id="T4b",
        title="a runner hangs before it registers: given out again in 4 min",
        protection="claim deadlines",
        story=_hangs,
    ),
)
