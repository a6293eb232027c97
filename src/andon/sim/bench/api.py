"""Benchmark "api": what a fleet costs of GitHub's quota, counted at the sandbox on virtual time (limits.md 3).

Ten repositories, a thousand registered runners, forty runs that run: the calls that a job costs, the
calls an hour that reconciling costs beside them, and what is asked while nothing is there to do.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from andon.github.grant import Caller, Grant
from andon.github.outcomes import Failed
from andon.runtime.chance import Chance
from andon.runtime.clock import Clock
from andon.sim.bench.api_kinds import FOR_A_JOB, Counts, kinds_of
from andon.sim.bench.figures import Figure, Result, figure
from andon.sim.simulation.processes import Process
from andon.sim.simulation.simulation import Shape, Simulation, play

HOUR_S = 3600.0
CALLS_A_JOB = 1.2
RECONCILE_AN_HOUR = 300.0
IDLE_A_MINUTE = 1.0
OTHERS = ("self-hosted", "others")
"""Labels of the runners that are registered beside ours: they serve other work."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How large it is, and how long it is watched."""

    hosts: int = 10
    repositories: int = 10
    runners: int = 1_000
    runs: int = 40
    """So many run at any time: when one is over the next begins."""
    jobs: int = 2
    """Of one run; they begin together."""
    job_s: float = 3600.0
    """About how long a job runs."""
    hours: float = 2.0
    token_s: float = 3600.0
    """How long a token lives, as an installation's does: what was kept with ETags of the one before is of no use."""
    past_runs: int = 40
    """Of each repository: more than the page of its newest runs shows."""
    warm_s: float = 5400.0
    """Until the fleet has settled down, and runs no longer begin and end together."""


class _HourlyTokens:
    """One installation's tokens, one after the other."""

    def __init__(self, clock: Clock, life_s: float) -> None:
        self._clock, self._life_s = clock, life_s

    async def token_for(self, owner: str | None, caller: Caller) -> Grant | Failed:
        number = int(self._clock.monotonic() // self._life_s)
        return Grant(token=f"a-token-{number}", account="installation 1", generation=number)

    def rejected(self, grant: Grant) -> bool:
        return False


def bench_api(load: Load, *, seed: int, say: Callable[[str], None]) -> Result:
    """Plays the fleet busy and then idle. Raises AssertionError when no job ran."""

    async def story() -> Result:
        with TemporaryDirectory(prefix="andon-bench-") as folder:
            # Half as many slots again as jobs that run: nobody waits for one.
            slots = -(-load.runs * load.jobs * 3 // (2 * load.hosts))
            shape = Shape(hosts=load.hosts, slots=slots, repositories=load.repositories)
            fleet = Simulation(seed, Path(folder), shape, lambda clock: _HourlyTokens(clock, load.token_s))
            try:
                return await _played(fleet, load, say)
            finally:
                await fleet.close()

    return play(story)


async def _played(fleet: Simulation, load: Load, say: Callable[[str], None]) -> Result:
    await fleet.start()
    _register_others(fleet, load)
    chance = fleet.chance("load")
    for repository in fleet.repositories * load.past_runs:
        fleet.run([1.0], repository=repository)
        fleet.cancel_later(0.0)
    pushing = [Process(f"pusher {number}") for number in range(load.runs)]
    for number, each in enumerate(pushing):
        each.start(_one_after_the_other(fleet, load, number, chance))
    say("warming up ...")
    await fleet.pass_time(load.warm_s)
    say(f"busy for {load.hours:g} h of virtual time ...")
    busy, jobs = await _watched(fleet, load.hours * HOUR_S)
    for each in pushing:
        await each.end()
    say("until nothing is open ...")
    await fleet.settle(3 * HOUR_S)
    await fleet.pass_time(load.warm_s / 3)
    say(f"idle for {load.hours:g} h of virtual time ...")
    idle, _ = await _watched(fleet, load.hours * HOUR_S)
    if fleet.violations or fleet.faults:
        raise AssertionError("; ".join((*fleet.violations, *fleet.faults)))
    return Result(
        bench="api",
        conditions=f"virtual time, {load.repositories} repositories, {load.runners} runners registered beside ours, "
        f"{load.runs} running runs of {load.jobs} jobs of about {load.job_s:g} s, webhooks work, "
        f"{load.hours:g} h each, {jobs} jobs",
        figures=(*_of_busy(busy, jobs, load), *_of_idle(idle, load)),
    )


def _register_others(fleet: Simulation, load: Load) -> None:
    """Runners of others in the same places: they are listed with ours, and stay as they are."""
    for number in range(load.runners):
        scope = fleet.repositories[number % load.repositories]
        runner = fleet.github.runners.register(scope, name=f"other-{number}", labels=OTHERS, ephemeral=False)
        session = fleet.github.runners.open_session(runner, version="2.336.0", os="linux")
        fleet.github.runners.begin_poll(session)


async def _one_after_the_other(fleet: Simulation, load: Load, number: int, chance: Chance) -> None:
    """Keeps one run of its repository running."""
    repository = fleet.repositories[number % load.repositories]
    await fleet.clock.sleep(chance.uniform(0.0, load.warm_s / 2))
    while True:
        seconds = [load.job_s * chance.uniform(0.5, 1.5) for _ in range(load.jobs)]
        jobs = fleet.run(seconds, repository=repository)
        while not fleet.is_over(*jobs):
            await fleet.clock.sleep(5.0)


async def _watched(fleet: Simulation, seconds: float) -> tuple[Counts, int]:
    """What GitHub is asked within so long, and how many jobs began."""
    world = fleet.github.world
    calls, unchanged, jobs = Counter(world.calls), Counter(world.unchanged), _begun(fleet)
    await fleet.pass_time(seconds)
    return kinds_of(world.calls - calls, world.unchanged - unchanged), _begun(fleet) - jobs


def _begun(fleet: Simulation) -> int:
    return sum(job.runner is not None for job in fleet.github.world.jobs.values())


def _of_busy(counts: Counts, jobs: int, load: Load) -> list[Figure]:
    if not jobs:
        raise AssertionError("no job ran")
    own = sum(counts.paid[kind] for kind in FOR_A_JOB)
    rest = counts.paid.total() - own
    return [
        _bounded("busy: calls for a job", own / jobs, "1/job", CALLS_A_JOB),
        _bounded("busy: reconciling, non-304", rest / load.hours, "1/h", RECONCILE_AN_HOUR),
        figure("busy: all non-304 for each job", [counts.paid.total() / jobs], "1/job"),
        *_by_kind("busy", counts, load),
    ]


def _of_idle(counts: Counts, load: Load) -> list[Figure]:
    a_minute = counts.paid.total() / load.hours / 60
    return [_bounded("idle: non-304", a_minute, "1/min", IDLE_A_MINUTE), *_by_kind("idle", counts, load)]


def _by_kind(when: str, counts: Counts, load: Load) -> list[Figure]:
    out: list[Figure] = []
    for kind in sorted(counts.calls):
        paid, free = counts.paid[kind] / load.hours, counts.unchanged[kind] / load.hours
        out += [figure(f"{when}: {kind}", [paid], "1/h"), figure(f"{when}: {kind}, 304", [free], "1/h")]
    return out


def _bounded(name: str, value: float, unit: str, bound: float) -> Figure:
    return figure(name, [value], unit, bound=bound, at_least=False)
