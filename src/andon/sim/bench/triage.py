"""Benchmark "triage": how right verdicts are on the labelled set, bare and in whole logs, and what a verdict costs.

The set is judged whole, and its held-out part apart. Speed is of one core; 300 rules are measured against 50.
"""

import string
from collections.abc import Callable, Iterator, Sequence
from random import Random  # noqa: TID251

from andon.runtime.clock import Clock
from andon.sim.bench.figures import Figure, Result, figure
from andon.sim.bench.memory import highest_mib
from andon.sim.bench.triage_cases import cases
from andon.sim.bench.triage_scores import Judged, judge_bare, judge_wrapped, scores
from andon.sim.bench.triage_wrap import noise, wrap
from andon.triage.catalogue import packaged
from andon.triage.engine import Engine
from andon.triage.rule import Examples, Rule

MEGABYTE = 1_000_000
_BOUNDS = {
    "bare": {"precision": 0.97, "recall": 0.90, "kinds": 0.85},
    "wrapped": {"precision": 0.97, "recall": 0.90, "kinds": 0.80},
}


def bench_triage(*, seeds: int, clock: Clock, say: Callable[[str], None]) -> Result:
    """Scores first, then speeds."""
    engine = Engine(packaged())
    everything = cases()
    held_out = [case for case in everything if case.held_out]
    figures: list[Figure] = []
    for name, part in (("whole set", everything), ("held out", held_out)):
        say(f"judging the {name}: {len(part)} excerpts, bare and in {seeds} logs each")
        figures += _score_figures(f"{name}, bare", judge_bare(engine, part), _BOUNDS["bare"])
        figures += _score_figures(f"{name}, wrapped", judge_wrapped(engine, part, range(seeds)), _BOUNDS["wrapped"])
    passing = sum(engine.judge([wrap(None, seed).text.encode()]).family != "unknown" for seed in range(40 * seeds))
    figures.append(_one("verdicts on logs that passed", passing, "of them", 0, at_least=False))
    say("measuring speed")
    figures += _speeds(engine, clock)
    conditions = f"{len(packaged())} rules, {len(everything)} excerpts, {seeds} seeds"
    return Result(bench="triage", conditions=conditions, figures=tuple(figures))


def _score_figures(name: str, judged: Sequence[Judged], bounds: dict[str, float]) -> list[Figure]:
    found = scores(judged)
    # The held-out part is too small for bounds of its own; harm has none either way.
    bound = bounds if name.startswith("whole") else {}
    return [
        *(
            _one(f"{name}: {key}", getattr(found, key), "share", bound.get(key))
            for key in ("precision", "recall", "kinds")
        ),
        _one(f"{name}: evidence inside the excerpt", found.evidence, "share", 0.95),
        _one(f"{name}: traps right or unknown", found.traps_right, f"of {found.traps}", found.traps * 15 / 16),
        _one(f"{name}: code failures that would be rerun", found.unsafe, f"of {found.cases}", 0, at_least=False),
    ]


def _speeds(engine: Engine, clock: Clock) -> list[Figure]:
    piece = _realistic(2 * MEGABYTE)
    engine.judge(_times(piece, 1))
    before = highest_mib()
    hundred = [_timed(clock, lambda: engine.judge(_times(piece, 50))) for _ in range(3)]
    more_memory = max(0.0, highest_mib() - before)
    five = piece + piece + piece[:MEGABYTE]
    small = [_timed(clock, lambda: engine.judge([five])) for _ in range(5)]
    fifty, three_hundred = (Engine(_padded(count)) for count in (50, 300))
    ratios: list[float] = []
    for _ in range(3):
        base = _timed(clock, lambda: fifty.judge(_times(piece, 8)))
        ratios.append(_timed(clock, lambda: three_hundred.judge(_times(piece, 8))) / base)
    return [
        figure("100 MB log", hundred, "s", bound=2, at_least=False),
        _one("100 MB log: more memory", more_memory, "MiB", 64, at_least=False),
        figure("5 MB log", [1000 * seconds for seconds in small], "ms", bound=150, at_least=False),
        figure("300 rules beside 50", ratios, "times", bound=2, at_least=False),
    ]


def _padded(count: int) -> list[Rule]:
    """The first rules of ours, and as many made-up ones as it takes."""
    chance = Random(1)

    def made_up(number: int) -> Rule:
        word = "".join(chance.choice(string.ascii_lowercase) for _ in range(12))
        example = Examples(match=(f"{word} broke at 12",), no_match=("fine",))
        return Rule(id=f"made.{number}", kind="network", match=rf"{word} broke at \d+", weight=50, examples=example)

    ours = list(packaged())[: min(count, 40)]
    return [*ours, *(made_up(number) for number in range(count - len(ours)))]


def _realistic(size: int) -> bytes:
    """What a job prints for long: one line of a hundred is a decoy."""
    lines = noise(Random(1), size // 60, decoys=0.01)
    text = "".join(f"2026-05-15T14:00:{at % 60:02d}.1234567Z {line}\n" for at, line in enumerate(lines))
    return text.encode()[:size]


def _times(piece: bytes, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield piece


def _timed(clock: Clock, work: Callable[[], object]) -> float:
    start = clock.monotonic()
    work()
    return clock.monotonic() - start


def _one(name: str, value: float, unit: str, bound: float | None = None, *, at_least: bool = True) -> Figure:
    return figure(name, [float(value)], unit, bound=bound, at_least=at_least)
