"""T20, T26: a host that reports well and starts nothing is the emptiest one: it draws every job beside a spare one."""

from andon.sim.drills.drill import Drill, expect, have_run, read, runners_made
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


async def _everywhere(fleet: Simulation) -> None:
    """Every host fails every start: one incident of the pool, which closes once a slot has served."""
    for host in fleet.hosts.values():
        host.starts_fail = 1.0
    (job,) = fleet.run([30.0])
    await fleet.pass_time(1200.0)
    found = await read(fleet, "/api/v1/incidents")
    told = [(each["code"], each["subject"]["id"], each["jobs"]) for each in found]
    expect(fleet, told == [("label.thin", "linux", [job])], f"incidents while every slot rests: {found}")
    for host in fleet.hosts.values():
        host.starts_fail = 0.0
    await fleet.until("it is over, after the longest rest at the latest", lambda: fleet.is_over(job), 960)
    await fleet.pass_time(1000.0)
    still = [each["code"] for each in await read(fleet, "/api/v1/incidents") if each["state"] != "closed"]
    expect(fleet, not still, f"a quarter of an hour after a slot served these are not closed: {still}")


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
    Drill(
        id="T26b",
        title="every host fails every start: one incident of the pool",
        protection="incidents",
        story=_everywhere,
    ),
)
