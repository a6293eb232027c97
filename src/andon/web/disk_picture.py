"""Bytes by class over time, as stretches of one picture. Pure.

The classes lie upon each other, with everything else that is used below them and what is free above. Where nothing
was told for a while there is a gap: nobody knows what was there (law 4).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

from andon.model.disk import PathClass
from andon.store.disks import SAMPLED_EVERY, Sample

REST = "rest"
FREE = "free"
ORDER = (
    REST,
    PathClass.UNKNOWN.value,
    PathClass.OTHER.value,
    PathClass.CACHE.value,
    PathClass.BASE.value,
    PathClass.TRASH.value,
    PathClass.DEAD.value,
    PathClass.LIVE.value,
)
"""From the bottom to the top: what stays longest lies lowest."""
MEANING = {
    REST: "everything else",
    PathClass.UNKNOWN.value: "unknown to the guard",
    PathClass.OTHER.value: "of a class of newer agents",
    PathClass.CACHE.value: "caches",
    PathClass.BASE.value: "bases",
    PathClass.TRASH.value: "trash",
    PathClass.DEAD.value: "dead workspaces",
    PathClass.LIVE.value: "live workspaces",
    FREE: "free",
}
GAP = 3 * SAMPLED_EVERY
MOST_POINTS = 300
SHORTEST = timedelta(hours=1)
"""The least time that a picture spans."""


class Area(msgspec.Struct, frozen=True, kw_only=True):
    """One class in one stretch of time."""

    kind: str
    """A key of MEANING."""
    points: str
    """For an SVG polygon."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is drawn, and its edges."""

    areas: tuple[Area, ...]
    start: datetime
    end: datetime
    top: int
    """Bytes at the upper edge."""
    least_free: Sample
    """The sample with the least room."""
    gaps: bool
    """For some of the time nothing was told."""
    rows: tuple[Sample, ...]
    """Some of the samples, for who reads numbers."""


def parts(sample: Sample) -> dict[str, int]:
    """What fills the filesystem, by the keys of ORDER, and what is free; together its size."""
    used = max(0, sample.total - sample.free)
    found: dict[str, int] = {}
    left = used
    for kind in ORDER[1:]:
        # Sizes are measured one after the other while files come and go: they may say more than is used.
        found[kind] = min(left, max(0, sample.classes.get(kind, 0)))
        left -= found[kind]
    return {REST: left, **found, FREE: min(sample.free, sample.total)}


def picture(samples: Sequence[Sample], *, width: int = 1000, height: int = 200) -> Picture | None:
    """The samples, oldest first, as a picture; None for fewer than two."""
    if len(samples) < 2:
        return None
    chosen = _thinned(samples)
    end = chosen[-1].at
    start = min(chosen[0].at, end - SHORTEST)
    top = max(each.total for each in chosen) or 1
    areas: list[Area] = []
    stretches = _stretches(chosen)
    for stretch in stretches:
        xs = [round(width * ((each.at - start) / (end - start)), 1) for each in stretch]
        if len(stretch) == 1:
            # One look on its own is as wide as the time that it stands for.
            xs = [xs[0], min(float(width), round(xs[0] + width * (SAMPLED_EVERY / (end - start)), 1))]
            stretch = [stretch[0], stretch[0]]
        shares = [parts(each) for each in stretch]
        below = [0] * len(stretch)
        for kind in (*ORDER, FREE):
            above = [low + share[kind] for low, share in zip(below, shares, strict=True)]
            if above != below:
                areas.append(Area(kind=kind, points=_polygon(xs, below, above, top, height)))
            below = above
    step = max(1, len(chosen) // 12)
    return Picture(
        areas=tuple(areas),
        start=start,
        end=end,
        top=top,
        least_free=min(samples, key=lambda each: each.free),
        gaps=len(stretches) > 1,
        rows=tuple(chosen[::-1][::step]),
    )


def _thinned(samples: Sequence[Sample]) -> list[Sample]:
    """At most so many, the newest among them; of several the one with the least room stands for all."""
    step = -(-len(samples) // MOST_POINTS)
    if step == 1:
        return list(samples)
    groups = [samples[at : at + step] for at in range(0, len(samples) - 1, step)]
    return [*(min(group, key=lambda each: each.free) for group in groups if group[-1] is not samples[-1]), samples[-1]]


def _stretches(samples: Sequence[Sample]) -> list[list[Sample]]:
    usual = max(GAP, 3 * (samples[-1].at - samples[0].at) / max(1, len(samples)))
    found: list[list[Sample]] = [[samples[0]]]
    for before, each in pairwise(samples):
        if each.at - before.at > usual:
            found.append([])
        found[-1].append(each)
    return found


def _polygon(xs: Sequence[float], below: Sequence[int], above: Sequence[int], top: int, height: int) -> str:
    def y(value: int) -> float:
        return round(height * (1 - min(1.0, value / top)), 1)

    there = [f"{x},{y(value)}" for x, value in zip(xs, above, strict=True)]
    back = [f"{x},{y(value)}" for x, value in zip(xs, below, strict=True)]
    return " ".join([*there, *back[::-1]])


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One class now, as a stretch of a bar."""

    kind: str
    bytes: int
    x: float
    width: float


def bar(now: Sample, *, width: float = 1000.0) -> tuple[Segment, ...]:
    """What fills the filesystem now, side by side; what holds nothing is left out."""
    made: list[Segment] = []
    x = 0.0
    for kind, count in parts(now).items():
        wide = width * count / max(1, now.total)
        if count:
            made.append(Segment(kind=kind, bytes=count, x=round(x, 2), width=round(wide, 2)))
        x += wide
    return tuple(made)
