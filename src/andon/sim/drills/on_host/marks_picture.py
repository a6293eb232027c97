"""A host driven over the marks of its disk, as a picture. Pure."""

from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby

import msgspec

from andon.model.config import Disk
from andon.model.disk import DiskLevel
from andon.rules.disk_marks import LEAVE, mark_of
from andon.sim.drills.on_host.over_the_marks import MarkSample, Recording, Step

_LEFT, _TOP, _WIDTH, _HEIGHT = 64, 44, 880, 300
_BAND = 16
_LINE = 18
_COLOURS = {
    "rest": "#a3abb5",
    "live": "#2a78c8",
    "dead": "#d99a1c",
    "trash": "#8a5a12",
    "ballast": "#8653c0",
    "free": "#eceef1",
    "ok": "#bfe3c9",
    "soft": "#f6dc97",
    "hard": "#f0a87c",
    "emergency": "#d9626a",
    "idle": "#bfe3c9",
    "unavailable": "#d9626a",
}
_MEANING = (
    ("rest", "somebody else's files"),
    ("live", "the build that runs"),
    ("dead", "failed builds, kept"),
    ("trash", "trash, for a minute"),
    ("ballast", "ballast"),
    ("free", "free"),
)
_X = Callable[[float], float]
"""Seconds as a place in the picture."""
_FONT = "font-family='system-ui, sans-serif' font-size='12' fill='#1c2128'"


def marks_picture(recording: Recording) -> str:
    """As SVG: bytes over time with the marks, the level and the slot below them, and what was done."""
    samples = _turns(recording.samples)
    end = samples[-1].seconds or 1.0
    steps = recording.steps
    height = _TOP + _HEIGHT + 2 * (_BAND + 8) + 64 + _LINE * ((len(steps) + 1) // 2 + 1)
    width = _LEFT + _WIDTH + 110

    def x(seconds: float) -> float:
        return round(_LEFT + _WIDTH * seconds / end, 1)

    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img' "
        "aria-label='A disk that is filled over each mark and emptied again'>",
        f"<rect width='{width}' height='{height}' fill='#ffffff'/>",
        *_areas(samples, x),
        *_marks(samples[0].total),
        *_band("level", [(each.seconds, each.level) for each in samples], _TOP + _HEIGHT + 8, x),
        *_band("idle slot", [(each.seconds, each.slot) for each in samples], _TOP + _HEIGHT + _BAND + 14, x),
        *_times(end, x),
        *_numbers(steps, x),
        *_words(steps, _TOP + _HEIGHT + 2 * _BAND + 92),
        *_key(_TOP + _HEIGHT + 2 * _BAND + 48),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _turns(samples: Sequence[MarkSample]) -> list[MarkSample]:
    """Without those between two that say the same, which draw nothing."""
    last = len(samples) - 1
    same = [msgspec.structs.replace(each, seconds=0.0) for each in samples]
    return [each for at, each in enumerate(samples) if at in (0, last) or not same[at - 1] == same[at] == same[at + 1]]


def _areas(samples: Sequence[MarkSample], x: _X) -> list[str]:
    top = samples[0].total
    below = [0] * len(samples)
    made: list[str] = []
    for kind, _ in _MEANING:
        above = [min(top, low + _share(each, kind)) for low, each in zip(below, samples, strict=True)]
        points = [f"{x(each.seconds)},{_y(value, top)}" for each, value in zip(samples, above, strict=True)]
        back = [f"{x(each.seconds)},{_y(value, top)}" for each, value in zip(samples, below, strict=True)]
        made.append(f"<polygon fill='{_COLOURS[kind]}' points='{' '.join([*points, *back[::-1]])}'/>")
        below = above
    return made


def _share(sample: MarkSample, kind: str) -> int:
    ours = {"live": sample.live, "dead": sample.dead, "trash": sample.trash, "ballast": sample.ballast}
    if kind == "free":
        return sample.free
    return ours[kind] if kind in ours else max(0, sample.total - sample.free - sum(ours.values()))


def _y(value: float, top: int) -> float:
    return round(_TOP + _HEIGHT * (1 - value / top), 1)


def _marks(total: int) -> list[str]:
    made: list[str] = []
    for level in (DiskLevel.SOFT, DiskLevel.HARD, DiskLevel.EMERGENCY):
        mark = mark_of(level, total, Disk())
        for free, dashes, word in ((mark, "none", f"{level.value} {mark / total:.0%}"), (mark * LEAVE, "3 4", "")):
            y = _y(total - free, total)
            made.append(
                f"<line x1='{_LEFT}' x2='{_LEFT + _WIDTH}' y1='{y}' y2='{y}' stroke='#a4161d' "
                f"stroke-dasharray='{dashes}' stroke-width='1'/>"
            )
            if word:
                made.append(f"<text x='{_LEFT + _WIDTH + 4}' y='{y + 4}' {_FONT}>{word}</text>")
    return made


def _band(name: str, states: Sequence[tuple[float, str]], top: float, x: _X) -> list[str]:
    made = [f"<text x='{_LEFT - 6}' y='{top + 12}' text-anchor='end' {_FONT}>{name}</text>"]
    stretches = [(state, [at for at, _ in group]) for state, group in groupby(states, key=lambda each: each[1])]
    for number, (state, times) in enumerate(stretches):
        end = stretches[number + 1][1][0] if number + 1 < len(stretches) else times[-1]
        wide = max(1.0, round(x(end) - x(times[0]), 1))
        colour = _COLOURS.get(state, "#eceef1")
        made.append(f"<rect x='{x(times[0])}' y='{top}' width='{wide}' height='{_BAND}' fill='{colour}'/>")
        if wide > 7 * len(state):
            made.append(f"<text x='{x(times[0]) + 4}' y='{top + 12}' {_FONT}>{escape(state)}</text>")
    return made


def _times(end: float, x: _X) -> list[str]:
    y = _TOP + _HEIGHT + 2 * _BAND + 30
    return [
        f"<text x='{x(at)}' y='{y}' text-anchor='middle' {_FONT}>{at} s</text>" for at in range(0, int(end) + 1, 30)
    ]


def _numbers(steps: Sequence[Step], x: _X) -> list[str]:
    made: list[str] = []
    free_from = [0.0, 0.0]
    for number, step in enumerate(steps, start=1):
        at = x(step.seconds)
        # Steps of one moment stand beside each other, in two rows.
        row = 0 if free_from[0] <= free_from[1] else 1
        place = max(at, free_from[row])
        free_from[row] = place + 18
        y = 14 + 18 * row
        made.append(f"<line x1='{at}' x2='{place}' y1='{_TOP}' y2='{y + 4}' stroke='#57606a' stroke-width='0.5'/>")
        made.append(f"<text x='{place}' y='{y}' text-anchor='middle' {_FONT}>{number}</text>")
    return made


def _words(steps: Sequence[Step], top: float) -> list[str]:
    half = (len(steps) + 1) // 2
    return [
        f"<text x='{_LEFT + (number // half) * 500}' y='{top + _LINE * (number % half)}' {_FONT}>"
        f"{number + 1}. {step.seconds:.0f} s: {escape(step.text)}</text>"
        for number, step in enumerate(steps)
    ]


def _key(top: float) -> list[str]:
    made: list[str] = []
    for number, (kind, meaning) in enumerate(_MEANING):
        left, colour = _LEFT + number * 148, _COLOURS[kind]
        made.append(f"<rect x='{left}' y='{top}' width='10' height='10' fill='{colour}' stroke='#57606a'/>")
        made.append(f"<text x='{left + 14}' y='{top + 10}' {_FONT}>{meaning}</text>")
    return made
