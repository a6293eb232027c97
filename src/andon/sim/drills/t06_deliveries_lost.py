"""T5, T6 and failure mode 9: deliveries that never come, for any length of time, strand no job."""

from andon.sim.drills.drill import Drill, have_run
from andon.sim.simulation.simulation import Simulation


async def _all_lost(fleet: Simulation) -> None:
    """Three hours without a single delivery: the sweep carries everything (R4: found in <= 3 min)."""
    fleet.fault(kind="delivery_lost")
    for _ in range(6):
        jobs = fleet.run([30.0, 30.0])
        await fleet.until("a job without deliveries runs", lambda jobs=jobs: fleet.runs(*jobs), 180)
        await fleet.pass_time(1650.0)


async def _lost_while_away(fleet: Simulation) -> None:
    """The control plane is away for an hour; what was queued then is found after its start."""
    await fleet.replica.end()
    jobs = fleet.run([30.0, 30.0, 30.0])
    await fleet.pass_time(3600.0)
    await fleet.replica.start()
    await fleet.until("jobs of the outage run", lambda: have_run(fleet, *jobs), 180)


async def _sent_again(fleet: Simulation) -> None:
    """Runs cannot be listed, and what was delivered meanwhile failed: GitHub is asked to send it again."""
    fleet.fault(kind="api_error", match={"endpoint": "*/actions/runs*"}, status=502)
    await fleet.replica.end()
    jobs = fleet.run([30.0, 30.0, 30.0])
    await fleet.pass_time(1200.0)
    await fleet.replica.start()
    await fleet.until("what was sent again runs", lambda: have_run(fleet, *jobs), 480)


DRILLS = (
    Drill(
        id="T5",
        title="deliveries are lost while the control plane is away",
        protection="sweep and redelivery",
        story=_lost_while_away,
    ),
    Drill(
        id="T5b",
        title="deliveries are lost, and runs cannot be listed",
        protection="redelivery",
        story=_sent_again,
    ),
    Drill(id="T6", title="no delivery comes for three hours", protection="sweep", story=_all_lost),
)
