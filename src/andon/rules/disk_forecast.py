"""When a filesystem will be full, at the rate of the last minutes (R52).

The rate is the median of the rates between all pairs of looks: one build that is deleted, or one large file that
comes at once, does not turn it.
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

KEEP_S = 900.0
"""How far back looks count."""
EVERY_S = 30.0
"""Between two looks that are kept: thirty of them, and so some hundred pairs."""
_SPAN_S = 120.0
"""Nothing is said before looks reach so far back."""
_FEWEST = 5
"""Of so many looks one that lies turns fewer than half of the pairs."""
_FARTHEST_S = 30 * 86400.0
"""What is farther away than this is no forecast."""


class Look(NamedTuple):
    """What was free at one moment."""

    up_s: float
    """Seconds since boot: a calendar can be set."""
    free: int
    inodes_free: int


def kept(looks: Sequence[Look], now: Look) -> tuple[Look, ...]:
    """The looks to remember after this one. One that came soon after the last kept one replaces nothing."""
    old = [each for each in looks if 0 <= now.up_s - each.up_s <= KEEP_S]
    return (*old, now) if not old or now.up_s - old[-1].up_s >= EVERY_S else tuple(old)


def full_in_s(looks: Sequence[Look], now: Look) -> float | None:
    """Seconds until bytes or inodes are used up; None when neither gets less, or too little is known."""
    if len(looks) < _FEWEST or looks[-1].up_s - looks[0].up_s < _SPAN_S:
        return None
    ends = (
        _used_up(now.free, [(each.up_s, each.free) for each in looks]),
        _used_up(now.inodes_free, [(each.up_s, each.inodes_free) for each in looks]),
    )
    known = [end for end in ends if end is not None and end <= _FARTHEST_S]
    return min(known, default=None)


def _used_up(left: int, course: list[tuple[float, int]]) -> float | None:
    rates = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(course, 2) if b[0] > a[0]]
    rate = median(rates) if rates else 0.0
    return left / -rate if rate < 0 else None
