"""A season: some days of work in bad weather, then calm; judged by the invariants. What `andon drill` runs by seed."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from andon.sim.simulation.invariants import after_calm, at_any_time
from andon.sim.simulation.processes import Process
from andon.sim.simulation.simulation import Shape, Simulation, play
from andon.sim.simulation.weather import Weather
from andon.sim.simulation.workload import DAY_S, WORKLOAD, Workload, a_day

CAPPED = Shape(max_slots=12)
"""A season's fleet: 16 slots, 12 of which its owner may use."""
CALM_S = 900.0
"""When faults stop, everything settles within 15 min (row 3)."""
LOOK_S = 10.0
"""How often the invariants are looked at."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one season came to."""

    seed: int
    days: float
    jobs: int
    faults: int
    violations: tuple[str, ...]
    digest: str
    last: tuple[str, ...]
    """The end of the trace, where something broke."""
    cpu_s: float

    @property
    def years(self) -> float:
        return self.days / 365


def run_season(seed: int, *, days: int, shape: Shape = CAPPED, workload: Workload = WORKLOAD) -> Outcome:
    """Plays `days` days and the calm after each; stops at the first day with a violation."""
    began = time.process_time()

    async def story() -> Outcome:
        with TemporaryDirectory(prefix="andon-season-") as folder:
            simulation = Simulation(seed, Path(folder), shape)
            try:
                return await _season(simulation, days, workload)
            finally:
                await simulation.close()

    outcome = play(story)
    return msgspec.structs.replace(outcome, cpu_s=time.process_time() - began)


async def _watch(simulation: Simulation, seen: dict[str, None]) -> None:
    """Looks again and again while work and faults go on: what is broken for a moment only is seen too."""
    while True:
        seen |= dict.fromkeys(at_any_time(simulation))
        await simulation.clock.sleep(LOOK_S)


async def _season(simulation: Simulation, days: int, workload: Workload) -> Outcome:
    await simulation.start()
    weather = Weather(simulation)
    seen: dict[str, None] = {}
    watching = Process("watching")
    watching.start(_watch(simulation, seen))
    chance = simulation.chance("workload")
    found: list[str] = []
    passed = faults = 0
    for _ in range(days):
        began = simulation.clock.now()
        weather.begin()
        await a_day(simulation, workload, chance)
        await simulation.pass_time(workload.longest_s)
        struck = sum(fault.applied for fault in simulation.github.faults.active)
        await weather.clear()
        faults += struck
        await simulation.settle(CALM_S)
        found = [*seen, *at_any_time(simulation), *after_calm(simulation), *simulation.faults]
        passed += 1
        if found:
            break
        simulation.forget_the_past()
        rest = DAY_S - (simulation.clock.now() - began).total_seconds()
        await simulation.sleep_through(max(0.0, rest))
    await watching.end()
    return Outcome(
        seed=simulation.seed,
        days=passed,
        jobs=simulation.jobs_made,
        faults=faults + sum(weather.large.values()),
        violations=tuple(found[:20]),
        digest=simulation.trace.digest,
        last=tuple(simulation.trace.last) if found else (),
        cpu_s=0.0,
    )
