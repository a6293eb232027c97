"""N4, its other ends: a host lost, GitHub down, ourselves cut off or asleep. Each is one incident of its own code,
read over HTTP as anybody can, and what ends it is evidence."""

from andon.sim.drills.drill import Drill, expect, read
from andon.sim.simulation.simulation import Simulation

WITHIN_S = 90.0
"""From the cause to its incident: 30 s of silence at least, and the looks of the loops."""
LASTS_S = 900.0
CLOSED_S = 600.0
"""From the end of the cause: the longest quiet time is five minutes."""


async def _told(fleet: Simulation, state: str | None = None) -> list[tuple[str, str]]:
    """(code, subject) of the incidents in a state, or of all."""
    found = await read(fleet, "/api/v1/incidents")
    return [(each["code"], each["subject"]["id"]) for each in found if state in (None, each["state"])]


async def _one_opens(fleet: Simulation, code: str, subject: str) -> list[int]:
    """Soon there is one incident, and as long as its cause lasts there is no other; gives its jobs."""
    await fleet.pass_time(WITHIN_S)
    found = await _told(fleet, "open")
    expect(fleet, found == [(code, subject)], f"{WITHIN_S:g} s after the cause of {code} began these are open: {found}")
    await fleet.pass_time(LASTS_S)
    all_found = await read(fleet, "/api/v1/incidents")
    states = [(each["code"], each["subject"]["id"], each["state"]) for each in all_found]
    expect(fleet, states == [(code, subject, "open")], f"incidents while the cause of {code} lasts: {states}")
    return [job for each in all_found for job in each["jobs"]]


async def _it_closes(fleet: Simulation, code: str, subject: str) -> None:
    """Some minutes after its cause is gone it is closed, and no other was opened."""
    await fleet.pass_time(CLOSED_S)
    found = await _told(fleet)
    expect(fleet, found == [(code, subject)], f"after {code} there are these incidents: {found}")
    closed = await _told(fleet, "closed")
    expect(fleet, closed == found, f"{CLOSED_S:g} s after the cause of {code} these are closed: {closed}")


async def _host_lost(fleet: Simulation) -> None:
    """One of two hosts is cut off with its jobs while the other one works."""
    jobs = fleet.run([2400.0] * 4)
    await fleet.until("all four run", lambda: fleet.runs(*jobs), 60)
    there = sorted(claim.job_id for claim in fleet.live_claims() if claim.host == "host-0" and claim.job_id is not None)
    fleet.address.cut.add("host-0")
    touched = await _one_opens(fleet, "host.silent", "host-0")
    expect(fleet, sorted(touched) == there, f"it names the jobs {touched}; on the host are {there}")
    expect(fleet, fleet.runs(*jobs), "a job on a silent host was ended")
    fleet.address.cut.clear()
    await _it_closes(fleet, "host.silent", "host-0")


async def _github_fails(fleet: Simulation) -> None:
    """GitHub's API answers nothing but 502 while the hosts report and a job waits for its runner."""
    fleet.fault(kind="api_error", match={}, status=502, count=100_000)
    (job,) = fleet.run([30.0])
    touched = await _one_opens(fleet, "github.down", "api")
    expect(fleet, job in touched, f"job {job} waits because of it; it names {touched}")
    fleet.github.faults.clear()
    await _it_closes(fleet, "github.down", "api")
    expect(fleet, fleet.is_over(job), "the job that waited has not run since")


async def _github_is_silent(fleet: Simulation) -> None:
    """Nothing comes back from GitHub, and the hosts are heard: it is GitHub, not we."""
    fleet.github_cut = True
    await _one_opens(fleet, "github.down", "api")
    fleet.github_cut = False
    await _it_closes(fleet, "github.down", "api")


async def _cut_off(fleet: Simulation) -> None:
    """Nobody is heard, neither host nor GitHub: it is we who are cut off, and nobody else is called lost."""
    jobs = fleet.run([1800.0] * 2)
    await fleet.until("both run", lambda: fleet.runs(*jobs), 60)
    fleet.address.cut.update(fleet.hosts)
    fleet.github_cut = True
    await _one_opens(fleet, "controlplane.asleep", "fleet")
    fleet.address.cut.clear()
    fleet.github_cut = False
    await _it_closes(fleet, "controlplane.asleep", "fleet")


async def _asleep(fleet: Simulation) -> None:
    """Our process stands still for a quarter of an hour, and goes on: nobody else was lost meanwhile."""
    fleet.replica.stop()
    await fleet.pass_time(LASTS_S)
    fleet.replica.go_on()
    await fleet.pass_time(WITHIN_S)
    found = await _told(fleet)
    expect(fleet, found == [("controlplane.asleep", "fleet")], f"incidents after our own sleep: {found}")
    await _it_closes(fleet, "controlplane.asleep", "fleet")


DRILLS = (
    Drill(
        id="N4b",
        title="one host is lost while another works: one incident with its jobs, closed when it is back",
        protection="incidents",
        story=_host_lost,
    ),
    Drill(
        id="N4c",
        title="GitHub fails: one incident of GitHub, and no host is called lost",
        protection="GitHub's health",
        story=_github_fails,
    ),
    Drill(
        id="N4d",
        title="GitHub says nothing while hosts are heard: one incident of GitHub, not of us",
        protection="GitHub's health",
        story=_github_is_silent,
    ),
    Drill(
        id="N4e",
        title="the control plane is cut off from all: one incident of its own",
        protection="who is cut off",
        story=_cut_off,
    ),
    Drill(
        id="N4f",
        title="the control plane stood still: one incident of its own, and no host is called lost",
        protection="own sleep",
        story=_asleep,
    ),
)
