"""T32 and failure mode 6: GitHub shows a job as queued while it runs, or in progress when it is over."""

from andon.sim.drills.drill import Drill
from andon.sim.simulation.simulation import Simulation


async def _runs_and_is_shown_queued(fleet: Simulation) -> None:
    """Nothing is ended or given out twice on that word."""
    fleet.fault(kind="job_shown_queued", count=1)
    (job,) = fleet.run([900.0])
    await fleet.until("the job runs", lambda: fleet.runs(job), 60)
    await fleet.until("it is over", lambda: fleet.is_over(job), 3600)
    starts = [change for change in fleet.job(job).history if change.what == "in_progress"]
    if len(starts) != 1 or fleet.job(job).conclusion != "success":
        fleet.violations.append(f"the job was started {len(starts)} times and ended as {fleet.job(job).conclusion}")


async def _completed_late(fleet: Simulation) -> None:
    """The runner is gone and GitHub says in progress for twenty minutes more; its `completed` is lost."""
    fleet.fault(kind="job_status_stuck", count=1, seconds=1200.0)
    fleet.fault(kind="delivery_never_created", match={"action": "completed"})
    (job,) = fleet.run([60.0])
    await fleet.until("GitHub notices the end", lambda: fleet.is_over(job), 1800)


DRILLS = (
    Drill(
        id="T32",
        title="a running job is shown as queued",
        protection="busy is left alone",
        story=_runs_and_is_shown_queued,
    ),
    Drill(
        id="T31",
        title="GitHub notices the end of a job twenty minutes late, and does not tell",
        protection="sweep",
        story=_completed_late,
    ),
)
