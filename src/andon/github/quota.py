"""The primary limit of one credential and resource: what is left of GitHub's window, and of our share.

Pure state over monotonic seconds. `left` is GitHub's lowest word in this window less the calls
whose answers are not in yet: whatever the order of the answers, it is never too high.
"""

from collections.abc import Mapping
from math import ceil

from andon.github.call import Priority

SAME_WINDOW_S = 60.0
"""Two answers of one window may name ends that differ by some seconds."""
_FLOORS: Mapping[Priority, float] = {Priority.ACT: 0.0, Priority.LOOKUP: 0.1, Priority.SWEEP: 0.25}
"""The part of our share that is kept for more urgent calls; what lies below all of it is the reserve."""


class Quota:
    """One window after the other."""

    def __init__(self, percent: float) -> None:
        self._percent = percent
        self.limit: int | None = None
        self.ends: float | None = None
        """When the window that was last told of ends; None: none was."""
        self._lowest = 0
        self.in_flight = 0
        self.used = 0
        self.refused = 0

    @property
    def reserve(self) -> int:
        """What we leave alone."""
        return 0 if self.limit is None else ceil(self.limit * (100 - self._percent) / 100)

    def left(self, now: float) -> int | None:
        """What may still be sent by GitHub's count, reserve included; None: nothing is known."""
        self._roll(now)
        return None if self.limit is None else self._lowest - self.in_flight

    def floor(self, priority: Priority) -> int:
        """Calls of this priority are not sent when no more than this is left."""
        if self.limit is None:
            return 0
        return self.reserve + int((self.limit - self.reserve) * _FLOORS[priority])

    def admits(self, priority: Priority, now: float) -> bool:
        """Whether one more call keeps what has to be kept."""
        left = self.left(now)
        return left is None or left > self.floor(priority)

    def send(self) -> None:
        """One call goes out."""
        self.in_flight += 1

    def answered(self, limit: int, remaining: int, ends: float, now: float, *, counted: bool) -> None:
        """An answer came with GitHub's word on the window that ends at `ends`."""
        self._roll(now)
        self.in_flight -= 1
        self.used += counted
        if ends <= now and self.limit is not None:
            # A late answer of a window that is over.
            return
        if self.ends is None or ends > self.ends + SAME_WINDOW_S:
            # A window we did not know of: everything of it is in this answer or under way.
            first = self.ends is not None or self.limit is None
            self._lowest = remaining if first else min(self._lowest, remaining)
            self.ends = ends
            self.used = int(counted)
            self.refused = 0
        elif ends < self.ends - SAME_WINDOW_S:
            return
        else:
            self._lowest = min(self._lowest, remaining)
        self.limit = limit

    def unanswered(self, *, sent: bool = True) -> None:
        """A call ended without GitHub's word; if it was sent, it may have counted."""
        self.in_flight -= 1
        if sent:
            self.used += 1
            self._lowest -= 1

    def restore(self, limit: int, remaining: int, ends: float, used: int) -> None:
        """Takes over what an earlier process knew; what this one knows of the same hour, or a later one, stays."""
        if self.ends is not None and ends < self.ends + SAME_WINDOW_S:
            if ends > self.ends - SAME_WINDOW_S:
                self._lowest = min(self._lowest, remaining)
            return
        self.limit, self._lowest, self.ends, self.used = limit, remaining, ends, used

    def _roll(self, now: float) -> None:
        """After the window's end there is a new one of which nobody has told us yet."""
        if self.ends is not None and now >= self.ends:
            self.ends = None
            self._lowest = self.limit or 0
            self.used = 0
            self.refused = 0
