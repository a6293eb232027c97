"""A season: some days of work in bad weather, then calm; judged by the invariants. What `andon drill` runs by seed."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from andon.sim.simulation.bounds import Bound
from andon.sim.simulation.invariants import after_calm
from andon.sim.simulation.processes import Process
from andon.sim.simulation.simulation import Shape, Simulation, play
from andon.sim.simulation.watch import Watch
from andon.sim.simulation.weather import BAD, Climate, Weather
from andon.sim.simulation.workload import DAY_S, WORKLOAD, Workload, a_day

CAPPED = Shape(max_slots=12)
"""A season's fleet: 16 slots, 12 of which its owner may use."""
CALM_S = 900.0
"""When faults stop, everything settles within 15 min (row 3)."""
_REPLICAS = (1, 1, 1, 2, 3)
"""Of five seeds in a row (row 12)."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one season came to."""

    seed: int
    days: float
    jobs: int
    replicas: int
    faults: int
    """That befell something."""
    by_kind: dict[str, int]
    """The same, each kind apart."""
    bounds: tuple[Bound, ...]
    """Promised times, and the worst of each."""
    violations: tuple[str, ...]
    digest: str
    last: tuple[str, ...]
    """The shortened trace, where something broke: the story of what broke first, then the end."""
    cpu_s: float


def shape_of(seed: int) -> Shape:
    """The fleet that a seed is played with: of five in a row, two have several control planes."""
    return msgspec.structs.replace(CAPPED, replicas=_REPLICAS[seed % len(_REPLICAS)])


def run_season(
    seed: int,
    *,
    days: int,
    shape: Shape | None = None,
    workload: Workload = WORKLOAD,
    climate: Climate = BAD,
) -> Outcome:
    """Plays `days` days and the calm after each; stops at the first day with a violation. The fleet is the seed's
    own (`shape_of`) where none is given."""
    began = time.process_time()

    async def story() -> Outcome:
        with TemporaryDirectory(prefix="andon-season-") as folder:
            simulation = Simulation(seed, Path(folder), shape_of(seed) if shape is None else shape)
            try:
                return await _season(simulation, days, workload, climate)
            finally:
                await simulation.close()

    outcome = play(story)
    return msgspec.structs.replace(outcome, cpu_s=time.process_time() - began)


async def _season(simulation: Simulation, days: int, workload: Workload, climate: Climate) -> Outcome:
    await simulation.start()
    weather, watch = Weather(simulation, climate), Watch(simulation)
    watching = Process("watching")
    watching.start(watch.run())
    chance = simulation.chance("workload")
    found: list[str] = []
    passed = 0
    for _ in range(days):
        began = simulation.clock.now()
        weather.begin(workload.open_s + workload.longest_s)
        await a_day(simulation, workload, chance)
        await simulation.pass_time(workload.longest_s)
        await weather.clear()
        await simulation.settle(CALM_S)
        watch.look()
        found = [*dict.fromkeys((*watch.found, *after_calm(simulation), *simulation.faults))]
        passed += 1
        if found:
            break
        simulation.forget_the_past()
        watch.forget()
        rest = DAY_S - (simulation.clock.now() - began).total_seconds()
        await simulation.sleep_through(max(0.0, rest))
    await watching.end()
    return Outcome(
        seed=simulation.seed,
        days=passed,
        jobs=simulation.jobs_made + len(simulation.github.world.jobs),
        replicas=simulation.shape.replicas,
        faults=weather.struck.total(),
        by_kind=dict(sorted(weather.struck.items())),
        bounds=tuple(watch.bounds.values()),
        violations=tuple(found[:20]),
        digest=simulation.trace.digest,
        last=simulation.trace.about(found) if found else (),
        cpu_s=0.0,
    )
