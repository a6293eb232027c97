"""T5, T6 and failure mode 9: deliveries that never come, for any length of time, strand no job."""

from andon.sim.drills.drill import Drill
from andon.sim.simulation.simulation import Simulation


async def _all_lost(fleet: Simulation) -> None:
    """Three hours without a single delivery: the sweep carries everything (R4: found in <= 3 min)."""
    fleet.fault(kind="delivery_lost")
    for _ in range(12):
        jobs = fleet.run([30.0, 30.0])
        await fleet.until("a job without deliveries runs", lambda jobs=jobs: fleet.runs(*jobs), 180)
        await fleet.pass_time(900.0)


async def _lost_while_away(fleet: Simulation) -> None:
    """The control plane is away for an hour; what was queued then is found after its start."""
    await fleet.replica.end()
    jobs = fleet.run([30.0, 30.0, 30.0])
    await fleet.pass_time(3600.0)
    await fleet.replica.start()
    await fleet.until("jobs of the outage run", lambda: all(fleet.job(each).started_at for each in jobs), 180)


DRILLS = (
    Drill(id="T5", title="deliveries are lost while the control plane is away", story=_lost_while_away),
    Drill(id="T6", title="no delivery comes for three hours", story=_all_lost),
)
