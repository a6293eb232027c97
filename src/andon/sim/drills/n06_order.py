"""N6: events of one run come in one second and out of order; queued goes to completed without in_progress."""

from andon.sim.drills.drill import Drill
from andon.sim.simulation.simulation import Simulation


async def _out_of_order(fleet: Simulation) -> None:
    fleet.fault(kind="delivery_reordered", match={"probability": 0.7}, seconds=10.0)
    fleet.fault(kind="delivery_doubled", match={"probability": 0.4}, seconds=30.0)
    fleet.fault(kind="delivery_after_completed", match={"event": "workflow_job", "action": "in_progress"})
    for _ in range(6):
        fleet.run([20.0, 40.0, 10.0], needs=True)
        await fleet.pass_time(60.0)


DRILLS = (Drill(id="N6", title="late, doubled and reordered events change no end state", story=_out_of_order),)
