"""Look-ups of the last hours, from counters that begin at nought with every start of their server."""

import msgspec

WINDOW_S = 6 * 3600.0
"""How far back a hit rate looks: a working day's half, so that one odd build does not make it."""
SLICE_S = 300.0


class Lookups(msgspec.Struct, frozen=True, kw_only=True):
    """What a server counted since its start."""

    hits: int = 0
    misses: int = 0


class _Slice(msgspec.Struct, frozen=True):
    began: float
    hits: int
    misses: int


class LookupWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Give it every reading, with the seconds of a clock that never goes back."""

    since: float
    last: Lookups = Lookups()
    slices: tuple[_Slice, ...] = ()

    def read(self, now: float, counted: Lookups) -> "LookupWindow":
        """With a new reading. Counters that are lower than before began anew, and count from nought."""
        anew = counted.hits < self.last.hits or counted.misses < self.last.misses
        before = Lookups() if anew else self.last
        hits, misses = counted.hits - before.hits, counted.misses - before.misses
        slices = [each for each in self.slices if each.began > now - WINDOW_S]
        if slices and now - slices[-1].began < SLICE_S:
            newest = slices.pop()
            slices.append(_Slice(newest.began, newest.hits + hits, newest.misses + misses))
        elif hits or misses:
            slices.append(_Slice(now, hits, misses))
        return LookupWindow(since=self.since, last=counted, slices=tuple(slices))

    def total(self) -> Lookups:
        """All of the window."""
        return Lookups(hits=sum(each.hits for each in self.slices), misses=sum(each.misses for each in self.slices))

    def seconds(self, now: float) -> int:
        """How far back it reaches."""
        return int(min(now - self.since, WINDOW_S))
