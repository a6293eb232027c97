"""T28: a run ended as startup_failure while a job of it said queued for ever; T16: nothing waits without an end."""

from andon.sim.drills.drill import Drill
from andon.sim.sandbox.records import Stage
from andon.sim.simulation.simulation import Simulation


async def _closed(fleet: Simulation) -> None:
    """The job is closed with the run's conclusion, and holds no slot (R7)."""
    fleet.fault(kind="run_startup_failure", count=1)
    (job,) = fleet.run([30.0])
    await fleet.until(
        "the job is closed here",
        lambda: fleet.rows("SELECT 1 FROM jobs WHERE id = :job AND status = 'completed'", job=job),
        300,
    )
    await fleet.until(
        "nothing is claimed for it",
        lambda: not fleet.rows("SELECT 1 FROM claims WHERE state NOT IN ('settled', 'released')"),
        300,
    )
    if fleet.job(job).stage is not Stage.QUEUED:
        fleet.violations.append("the drill did not play what it tells of")


DRILLS = (Drill(id="T28", title="a queued job of a run that is over is closed", story=_closed),)
