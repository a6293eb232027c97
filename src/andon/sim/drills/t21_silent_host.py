"""T21, N4, N5: a host that nobody hears is no capacity and no corpse; one cause is one incident."""

from andon.sim.drills.drill import Drill, expect, have_run, read
from andon.sim.simulation.simulation import Simulation


async def _unheard(fleet: Simulation) -> None:
    """One host stayed ready in every list and was dead: what is queued meanwhile runs on the other, at once."""
    fleet.address.cut.add("host-0")
    await fleet.pass_time(90.0)
    for _ in range(6):
        jobs = fleet.run([20.0, 20.0])
        await fleet.until("both run at once", lambda jobs=jobs: have_run(fleet, *jobs), 30)
        await fleet.pass_time(60.0)
    fleet.address.cut.clear()


async def _fleet_lost(fleet: Simulation) -> None:
    """Every host is cut off for half an hour while jobs wait: one incident, not one a host, and it closes by itself."""
    for name in fleet.hosts:
        fleet.address.cut.add(name)
    fleet.run([30.0, 30.0])
    await fleet.pass_time(1800.0)
    found = await read(fleet, "/api/v1/incidents")
    expect(fleet, [each["code"] for each in found] == ["fleet.silent"], f"incidents while all were silent: {found}")
    fleet.address.cut.clear()
    await fleet.pass_time(900.0)
    still = [each["code"] for each in await read(fleet, "/api/v1/incidents") if each["state"] != "closed"]
    expect(fleet, not still, f"half an hour later these are not closed: {still}")


async def _short_silences(fleet: Simulation) -> None:
    """Deploys, restarts of agents and short cuts are no incidents: twelve alerts of twelve were false."""
    fleet.run([600.0, 600.0])
    for _ in range(4):
        await fleet.pass_time(60.0)
        await fleet.replica.end()
        await fleet.pass_time(10.0)
        await fleet.replica.start()
        await fleet.hosts["host-0"].end_agent()
        await fleet.pass_time(20.0)
        fleet.hosts["host-0"].start_agent()
        fleet.address.cut.add("host-1")
        await fleet.pass_time(10.0)
        fleet.address.cut.clear()
        await fleet.pass_time(60.0)
    found = await read(fleet, "/api/v1/incidents")
    expect(fleet, not found, f"incidents where nothing was wrong: {found}")


DRILLS = (
    Drill(
        id="T21",
        title="a host that nobody hears is given nothing",
        protection="host liveness",
        story=_unheard,
    ),
    Drill(
        id="N4",
        title="the whole fleet is lost: one incident, and it closes by itself",
        protection="incidents",
        story=_fleet_lost,
    ),
    Drill(
        id="N5",
        title="deploys and short silences open no incident",
        protection="patience",
        story=_short_silences,
    ),
)
