"""T17, T22, T25: one job that cannot be served must not hold up the others."""

from andon.sim.drills.drill import Drill, expect, have_run
from andon.sim.simulation.simulation import Simulation


async def _others_go_on(fleet: Simulation) -> None:
    """The oldest job has a claim that nothing comes of, and GitHub gives it to nobody: the ones behind it are
    served meanwhile."""
    fleet.fault(kind="job_never_bound", count=1)
    for host in fleet.hosts.values():
        host.starts_hang = 1.0
    fleet.run([30.0])
    await fleet.until("its runner hangs", lambda: any(host.live_claims() for host in fleet.hosts.values()), 30)
    for host in fleet.hosts.values():
        host.starts_hang = 0.0
    others = fleet.run([20.0] * 6)
    await fleet.until("the others are over", lambda: fleet.is_over(*others), 120)


async def _mints_fail(fleet: Simulation) -> None:
    """Every mint fails for ten minutes: we back off, and go on by ourselves, after the longest pause at the latest."""
    fleet.fault(kind="api_error", match={"endpoint": "*/generate-jitconfig"}, status=502)
    jobs = fleet.run([30.0, 30.0, 30.0])
    await fleet.pass_time(300.0)
    before = _mint_calls(fleet)
    await fleet.pass_time(300.0)
    calls = _mint_calls(fleet) - before
    expect(fleet, calls <= 30, f"{calls} mints in five minutes, after five of failures: no back-off")
    fleet.github.faults.clear()
    await fleet.until("the jobs run", lambda: have_run(fleet, *jobs), 600)


async def _one_tries(fleet: Simulation) -> None:
    """While mints fail, each try costs one claim and not one for each slot; when they work again, all go on at once."""
    fleet.fault(kind="api_error", match={"endpoint": "*/generate-jitconfig"}, status=502)
    jobs = fleet.run([30.0] * 4)
    await fleet.pass_time(300.0)
    before = _mint_calls(fleet)
    await fleet.pass_time(600.0)
    calls = _mint_calls(fleet) - before
    expect(
        fleet, 0 < calls <= 15, f"{calls} mints in ten minutes: five tries of one claim, of three calls each, would do"
    )
    fleet.github.faults.clear()
    await fleet.until("one tries, and gets its runner", lambda: any(have_run(fleet, job) for job in jobs), 150)
    await fleet.until("the others follow", lambda: fleet.runs(*jobs), 15)


def _mint_calls(fleet: Simulation) -> int:
    return sum(count for name, count in fleet.github.world.calls.items() if "generate-jitconfig" in name)


DRILLS = (
    Drill(
        id="T17",
        title="a job whose claim comes to nothing starves nobody",
        protection="others go on",
        story=_others_go_on,
        calm_s=None,
    ),
    Drill(id="T22", title="failing mints back off and recover", protection="back-off", story=_mints_fail),
    Drill(id="T22b", title="one claim tries whether mints work again", protection="one tries", story=_one_tries),
)
