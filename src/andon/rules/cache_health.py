"""When a compile cache is too small for what is built through it (R55, incidents.md P7).

P7: a cache stood at its cap for months, with 5 hits among 816 look-ups, and nobody compared the two numbers. Neither
alone says anything: a full cache is a good one as long as it is hit, and a new one has no hits.
"""

from collections.abc import Iterable

from andon.model.caches import CacheReport

FULL = 0.95
"""The part of its cap from which a cache is at it: entries go as whole ones."""
NOT_FULL = 0.85
ENOUGH = 100
"""Look-ups below which a rate means nothing."""
FEW = 0.3
"""Hits of all look-ups: below this part, what is kept is thrown away before it is asked for."""
NOT_FEW = 0.5


def is_thrashing(cache: CacheReport) -> bool:
    """Whether it stands at its cap and is hardly hit."""
    rate = hit_rate(cache)
    return cache.size is not None and cache.size >= FULL * cache.cap and rate is not None and rate < FEW


def is_well_again(cache: CacheReport) -> bool:
    """Whether what it tells shows that this is over. Too few look-ups show nothing."""
    rate = hit_rate(cache)
    return (cache.size is not None and cache.size < NOT_FULL * cache.cap) or (rate is not None and rate >= NOT_FEW)


def hit_rate(cache: CacheReport) -> float | None:
    """From 0 to 1; None: too few look-ups for one."""
    asked = cache.hits + cache.misses
    return cache.hits / asked if asked >= ENOUGH else None


def fullest_first(caches: Iterable[CacheReport]) -> tuple[CacheReport, ...]:
    """Those at their cap come first."""
    return tuple(sorted(caches, key=lambda each: (-((each.size or 0) / max(1, each.cap)), each.name)))
