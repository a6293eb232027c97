"""N6: events of one run come in one second and out of order; queued goes to completed without in_progress."""

from andon.sim.drills.drill import Drill, expect, read, runners_made
from andon.sim.simulation.simulation import Simulation


async def _out_of_order(fleet: Simulation) -> None:
    """Nothing but deliveries tells of the jobs: runs cannot be listed meanwhile."""
    fleet.fault(kind="api_error", match={"endpoint": "*/actions/runs*"}, status=502)
    fleet.fault(kind="delivery_reordered", match={"probability": 0.7}, seconds=10.0)
    fleet.fault(kind="delivery_doubled", match={"probability": 0.4}, seconds=30.0)
    fleet.fault(kind="delivery_after_completed", match={"event": "workflow_job", "action": "in_progress"})
    for _ in range(6):
        fleet.run([20.0, 40.0, 10.0], needs=True)
        await fleet.pass_time(60.0)
    await fleet.pass_time(120.0)
    shown = await read(fleet, "/api/v1/jobs")
    wrong = {each["id"]: each["status"] for each in shown if each["status"] != "completed"}
    expect(fleet, len(shown) == 18 and not wrong, f"{len(shown)} of 18 jobs are known; over and not so here: {wrong}")
    expect(fleet, runners_made(fleet) <= 18, f"{runners_made(fleet)} runners were made for 18 jobs")


async def _old_news(fleet: Simulation) -> None:
    """T24: an old state comes back as the newest: `queued` of jobs that are over for an hour."""
    fleet.fault(kind="delivery_delayed", match={"event": "workflow_job", "action": "queued"}, seconds=3600.0)
    jobs = fleet.run([30.0] * 3)
    await fleet.until("the sweep finds them and they are over", lambda: fleet.is_over(*jobs), 400)
    made = runners_made(fleet)
    await fleet.pass_time(3900.0)
    expect(fleet, runners_made(fleet) == made, "runners were made for jobs that were over for an hour")


DRILLS = (
    Drill(
        id="N6",
        title="late, doubled and reordered events change no end state",
        protection="order of news",
        story=_out_of_order,
    ),
    Drill(id="T24", title="an old state that comes back last is old", protection="order of news", story=_old_news),
)
