"""T20, T26: a host that reports well and starts nothing is the emptiest one: it draws every job beside a spare one."""

from andon.sim.drills.drill import Drill, expect, have_run, runners_made
from andon.sim.simulation.simulation import Simulation


async def _never_boots(fleet: Simulation) -> None:
    """Nothing boots on one host, and nobody says so: the job goes to the other one once it is given up (R27: 4 min)."""
    fleet.hosts["host-0"].starts_hang = 1.0
    (job,) = fleet.run([30.0])
    await fleet.until("the job runs on the spare host", lambda: fleet.runs(job), 270)
    expect(fleet, runners_made(fleet) == 2, f"{runners_made(fleet)} runners were made; the spare host needs one")
    fleet.hosts["host-0"].starts_hang = 0.0


async def _emptiest(fleet: Simulation) -> None:
    """Every start of one host fails: two of its slots show it, and then the jobs go past it. It is no corpse: when
    its starts work again, it serves as soon as the other one is full."""
    fleet.hosts["host-0"].starts_fail = 1.0
    for _ in range(8):
        (job,) = fleet.run([20.0])
        await fleet.until("the job runs", lambda job=job: have_run(fleet, job), 30)
        await fleet.pass_time(60.0)
    wasted = runners_made(fleet) - 8
    expect(fleet, wasted <= 2, f"{wasted} runners were made in vain, for 8 jobs")
    fleet.hosts["host-0"].starts_fail = 0.0
    jobs = fleet.run([60.0] * 4)
    await fleet.until("all four run at once", lambda: fleet.runs(*jobs), 30)


DRILLS = (
    Drill(
        id="T20",
        title="a job whose runner never boots goes to the spare host",
        protection="elsewhere",
        story=_never_boots,
    ),
    Drill(
        id="T26",
        title="a host whose every start fails draws no more jobs",
        protection="failing hosts come last",
        story=_emptiest,
    ),
)
