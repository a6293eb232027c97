"""T29, N1: a process that lives and does nothing is no health."""

from andon.sim.drills.drill import Drill, runners_made
from andon.sim.simulation.simulation import Simulation


async def _lost_assignment(fleet: Simulation) -> None:
    """Failure mode 4: the runner prints "Listening", is gone from GitHub, and never works again."""
    fleet.fault(kind="assignment_lost", count=1)
    (job,) = fleet.run([60.0])
    await fleet.until("the job runs on another runner", lambda: fleet.runs(job), 600)


async def _vanishes(fleet: Simulation) -> None:
    """Failure mode 3: an idle runner is gone from GitHub, and ends as if all were well: its job gets another, soon."""
    fleet.fault(kind="job_never_bound", count=1)
    fleet.fault(kind="runner_vanishes", count=1, seconds=20.0)
    fleet.run([30.0])
    await fleet.until("a runner was made", lambda: runners_made(fleet) == 1, 30)
    await fleet.until("the job gets another", lambda: runners_made(fleet) == 2, 60)


async def _offline_at_github(fleet: Simulation) -> None:
    """N1: active here and offline there: its host has no way to GitHub; the other host serves."""
    fleet.hosts["host-0"].offline = True
    jobs = fleet.run([30.0] * 4)
    await fleet.until("all are over by the other host", lambda: fleet.is_over(*jobs), 1200)
    fleet.hosts["host-0"].offline = False


DRILLS = (
    Drill(
        id="T29",
        title="a runner whose assignment was lost is replaced",
        protection="claim deadlines",
        story=_lost_assignment,
    ),
    Drill(
        id="T29b",
        title="an idle runner vanishes from GitHub",
        protection="ends that are told or seen",
        story=_vanishes,
        calm_s=None,
    ),
    Drill(
        id="N1",
        title="a host that cannot reach GitHub serves nothing and blocks nothing",
        protection="claim deadlines",
        story=_offline_at_github,
    ),
)
