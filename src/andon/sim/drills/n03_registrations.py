"""N3, and failure mode 1: a mint whose answer was lost, and registrations that no process stands behind."""

from andon.sim.drills.drill import Drill
from andon.sim.simulation.simulation import LABELS, REPOSITORY, Simulation


async def _nothing_left(fleet: Simulation) -> None:
    """Runners that never start leave no registration behind."""
    for host in fleet.hosts.values():
        host.starts_fail = 1.0
    fleet.run([30.0, 30.0])
    await fleet.pass_time(120.0)
    for host in fleet.hosts.values():
        host.starts_fail = 0.0
    await fleet.until("only live runners are registered", lambda: not fleet.registered(), 900)


async def _answer_lost(fleet: Simulation) -> None:
    """GitHub has the runner, we have not its config: found by name, minted anew (R22), in seconds, not in 7.5 min."""
    fleet.fault(kind="mint_reply_lost", count=2)
    jobs = fleet.run([60.0] * 4)
    await fleet.until("all run", lambda: fleet.runs(*jobs), 20)


async def _lost_database(fleet: Simulation) -> None:
    """Registrations of ours that no claim stands behind, as a lost database leaves them: gone within half an hour."""
    (job,) = fleet.run([30.0])
    await fleet.until("a runner of ours shows our name", fleet.registered, 60)
    ours = "-".join(next(iter(fleet.registered())).split("-")[:2])
    left = {f"{ours}-host-0-{number}-0000000000" for number in range(3)}
    for name in sorted(left):
        fleet.github.runners.register(REPOSITORY, name=name, labels=(*LABELS, "nobody-asks-for-this"))
    await fleet.until("the job is over", lambda: fleet.is_over(job), 120)
    await fleet.until("what nothing stands behind is gone", lambda: not left & fleet.registered(), 1800)


async def _cancelled_meanwhile(fleet: Simulation) -> None:
    """The run is cancelled while GitHub still makes the runner: what comes too late is removed at once."""
    fleet.fault(kind="api_slow", match={"endpoint": "*/generate-jitconfig"}, seconds=8.0)
    jobs = fleet.run([30.0, 30.0])
    await fleet.pass_time(3.0)
    fleet.cancel_later(0.0)
    await fleet.until("it is cancelled", lambda: fleet.is_over(*jobs), 30)
    await fleet.pass_time(15.0)
    await fleet.until("no runner is left of it", lambda: not fleet.registered(), 60)


DRILLS = (
    Drill(
        id="N3",
        title="no registration stays without a process",
        protection="removal before release",
        story=_nothing_left,
    ),
    Drill(id="N3b", title="a lost mint answer costs seconds", protection="lost mint answers", story=_answer_lost),
    Drill(
        id="N3c",
        title="registrations that a lost database left behind are removed",
        protection="registrations",
        story=_lost_database,
    ),
    Drill(
        id="N3d",
        title="a runner that is made too late is removed again",
        protection="late mints",
        story=_cancelled_meanwhile,
    ),
)
