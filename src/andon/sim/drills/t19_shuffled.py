"""T19 and failure mode 2: a claim is no binding; GitHub gives a job to whichever runner fits."""

from andon.sim.drills.drill import Drill, expect, runners_made
from andon.sim.simulation.simulation import Simulation


async def _given_to_others(fleet: Simulation) -> None:
    """Every job goes to a runner by chance: each is served once, and no more runners are made than jobs."""
    fleet.fault(kind="job_shuffled")
    made = 0
    for _ in range(4):
        jobs = fleet.run([400.0, 20.0, 200.0, 30.0])
        made += len(jobs)
        await fleet.until("all are over", lambda jobs=jobs: fleet.is_over(*jobs), 900)
    expect(fleet, runners_made(fleet) == made, f"{runners_made(fleet)} runners were made for {made} jobs")


DRILLS = (
    Drill(
        id="T19",
        title="GitHub gives jobs to other runners than those made for them",
        protection="shuffles",
        story=_given_to_others,
    ),
)
