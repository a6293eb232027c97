"""One drill: a story on a small fleet, judged by the invariants and by what the story itself demands."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from andon.sim.simulation.invariants import after_calm, at_any_time
from andon.sim.simulation.simulation import Shape, Simulation, play

SMALL = Shape(hosts=2, slots=2)


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """`story` plays it; with `calm_s` everything has to be settled so long after its end."""

    id: str
    """Its number in the incident book: T4."""
    title: str
    story: Callable[[Simulation], Awaitable[None]]
    shape: Shape = SMALL
    calm_s: float | None = 900.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How one drill went."""

    id: str
    title: str
    passed: bool
    violations: tuple[str, ...]
    seconds: float
    """Of virtual time."""
    digest: str
    trace: tuple[str, ...]
    """The end of what happened, when it failed."""


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
