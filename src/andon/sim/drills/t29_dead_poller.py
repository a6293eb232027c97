"""T29, T31, N1: a process that lives and does nothing is no health; one that outlives its job is told."""

from andon.sim.drills.drill import Drill
from andon.sim.simulation.simulation import Simulation


async def _lost_assignment(fleet: Simulation) -> None:
    """Failure mode 4: the runner prints "Listening", is gone from GitHub, and never works again."""
    fleet.fault(kind="assignment_lost", count=1)
    (job,) = fleet.run([60.0])
    await fleet.until("the job runs on another runner", lambda: fleet.runs(job), 600)


async def _vanishes(fleet: Simulation) -> None:
    """Failure mode 3: an idle runner is gone from GitHub; its job goes to another."""
    fleet.fault(kind="job_never_bound", count=1)
    fleet.fault(kind="runner_vanishes", count=1, seconds=20.0)
    jobs = fleet.run([30.0, 60.0])
    await fleet.until("the other job is over", lambda: fleet.is_over(jobs[1]), 600)


async def _offline_at_github(fleet: Simulation) -> None:
    """N1: active here and offline there: its host has no way to GitHub; the other host serves."""
    fleet.hosts["host-0"].offline = True
    jobs = fleet.run([30.0] * 4)
    await fleet.until("all are over by the other host", lambda: fleet.is_over(*jobs), 1200)
    fleet.hosts["host-0"].offline = False


DRILLS = (
    Drill(id="T29", title="a runner whose assignment was lost is replaced", story=_lost_assignment),
    Drill(id="T31", title="an idle runner vanishes from GitHub", story=_vanishes, calm_s=None),
    Drill(id="N1", title="a host that cannot reach GitHub serves nothing and blocks nothing", story=_offline_at_github),
)
