"""T17, T22, T25: one job that cannot be served must not hold up the others."""

from andon.sim.drills.drill import Drill
from andon.sim.simulation.simulation import Simulation


async def _others_go_on(fleet: Simulation) -> None:
    """The oldest job is never bound by GitHub: the ones behind it are served meanwhile."""
    fleet.fault(kind="job_never_bound", count=1)
    fleet.run([30.0])
    others = fleet.run([60.0] * 6)
    await fleet.until("the others are over", lambda: fleet.is_over(*others), 900)


async def _mints_fail(fleet: Simulation) -> None:
    """Every mint fails for ten minutes: we back off, and go on by ourselves."""
    fleet.fault(kind="api_error", match={"endpoint": "*/generate-jitconfig"}, status=502)
    jobs = fleet.run([30.0, 30.0, 30.0])
    await fleet.pass_time(600.0)
    calls = sum(count for name, count in fleet.github.world.calls.items() if "generate-jitconfig" in name)
    if calls > 120:
        fleet.violations.append(f"{calls} mints in ten minutes of failures: no back-off")
    fleet.github.faults.clear()
    await fleet.until("the jobs run", lambda: all(fleet.job(each).started_at for each in jobs), 180)


DRILLS = (
    Drill(id="T17", title="a job that GitHub never binds starves nobody", story=_others_go_on, calm_s=None),
    Drill(id="T22", title="failing mints back off and recover", story=_mints_fail),
)
