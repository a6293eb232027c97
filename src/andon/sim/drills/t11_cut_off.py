"""T11: a deploy in the middle of dispatch left stamped runners behind that nobody released."""

from andon.sim.drills.drill import Drill, have_run, runners_made
from andon.sim.simulation.simulation import Simulation


async def _ended_while_minting(fleet: Simulation) -> None:
    """The control plane ends between its reservations and GitHub's answers: GitHub has made the runners, and their
    configs are lost."""
    fleet.fault(kind="api_reply_lost", match={"endpoint": "*/generate-jitconfig"}, seconds=5.0)
    jobs = fleet.run([60.0] * 4)
    await fleet.until("runners were made", lambda: runners_made(fleet), 30)
    await fleet.pass_time(1.0)
    await fleet.replica.end()
    fleet.github.faults.clear()
    await fleet.pass_time(5.0)
    await fleet.replica.start()
    await fleet.until("all have run", lambda: have_run(fleet, *jobs), 120)


DRILLS = (
    Drill(
        id="T11",
        title="the control plane ends between a reservation and its runner: no slot is lost",
        protection="lost mint answers and deadlines",
        story=_ended_while_minting,
    ),
)
