"""N3, and failure mode 1: a mint whose answer was lost, and registrations that no process stands behind."""

from andon.sim.drills.drill import Drill
from andon.sim.simulation.simulation import Simulation


async def _answer_lost(fleet: Simulation) -> None:
    """GitHub has the runner, we have not its config: found by name, minted anew (R22), in well under 7.5 min."""
    fleet.fault(kind="mint_reply_lost", count=2)
    jobs = fleet.run([60.0] * 4)
    await fleet.until("all run", lambda: fleet.runs(*jobs), 120)


async def _nothing_left(fleet: Simulation) -> None:
    """Runners that never start leave no registration behind."""
    for host in fleet.hosts.values():
        host.starts_fail = 1.0
    fleet.run([30.0, 30.0])
    await fleet.pass_time(300.0)
    for host in fleet.hosts.values():
        host.starts_fail = 0.0
    await fleet.until("only live runners are registered", lambda: not fleet.registered(), 900)


DRILLS = (
    Drill(id="N3", title="no registration stays without a process", story=_nothing_left),
    Drill(id="N3b", title="a lost mint answer costs seconds", story=_answer_lost),
)
