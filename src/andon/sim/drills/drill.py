"""One drill: a story on a small fleet, judged by the invariants and by what the story itself demands."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from andon.sim.drills.protections import taken_out
from andon.sim.simulation.in_process_http import InProcessHttp
from andon.sim.simulation.invariants import after_calm, at_any_time
from andon.sim.simulation.simulation import Shape, Simulation, play

SMALL = Shape(hosts=2, slots=2)


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """`story` plays it; with `calm_s` everything has to be settled so long after its end."""

    id: str
    """Its number in the incident book: T4."""
    title: str
    protection: str
    """What makes it pass, by its name in `protections`; without that it has to fail."""
    story: Callable[[Simulation], Awaitable[None]]
    shape: Shape = SMALL
    calm_s: float | None = 900.0

    def play(self, seed: int) -> "Result":
        """Plays it to its end."""
        return run_drill(self, seed)

    def play_unprotected(self, seed: int) -> "Result":
        """Without its protection: it has to fail, or it shows nothing."""
        with taken_out(self.protection):
            return run_drill(self, seed)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How one drill went."""

    id: str
    title: str
    passed: bool
    violations: tuple[str, ...]
    seconds: float
    """Of virtual time; of a drill on this host, of real time."""
    digest: str
    trace: tuple[str, ...]
    """The end of what happened, when it failed."""
    skipped: str | None = None
    """Why it was not played; then it has not passed."""


def run_drill(drill: Drill, seed: int) -> Result:
    """Plays a drill to its end."""

    async def story() -> Result:
        with TemporaryDirectory(prefix="andon-drill-") as folder:
            simulation = Simulation(seed, Path(folder), drill.shape)
            try:
                return await _played(simulation, drill)
            finally:
                await simulation.close()

    return play(story)


async def _played(simulation: Simulation, drill: Drill) -> Result:
    await simulation.start()
    await simulation.pass_time(30.0)
    await drill.story(simulation)
    found = list(at_any_time(simulation))
    if drill.calm_s is not None:
        simulation.github.faults.clear()
        await simulation.settle(drill.calm_s)
        found += [*at_any_time(simulation), *after_calm(simulation)]
    found += simulation.faults
    return Result(
        id=drill.id,
        title=drill.title,
        passed=not found,
        violations=tuple(dict.fromkeys(found)),
        seconds=round(simulation.clock.monotonic(), 1),
        digest=simulation.trace.digest,
        trace=tuple(simulation.trace.last)[-60:] if found else (),
    )


def runners_made(fleet: Simulation) -> int:
    """How many runners GitHub has registered so far, by its own list."""
    return sum(each["outcome"] == "registered" for each in fleet.github.world.registrations)


def expect(fleet: Simulation, holds: bool, otherwise: str) -> None:
    """Notes a violation when something does not hold."""
    if not holds:
        fleet.violations.append(otherwise)


def have_run(fleet: Simulation, *job_ids: int) -> bool:
    """Whether each of them was taken by a runner, by GitHub's history: its `started_at` is set from the start."""
    return all(any(change.what == "in_progress" for change in fleet.job(job_id).history) for job_id in job_ids)


async def read(fleet: Simulation, path: str) -> list[dict[str, Any]]:
    """The items of a list, as anybody can read them over HTTP."""
    answer = await InProcessHttp(fleet.address, "http://andon.test", caller="reader").request("GET", path)
    return msgspec.json.decode(answer.body)["items"]
