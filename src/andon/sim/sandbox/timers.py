"""What becomes due later: a heap of times and acts, looked at on every call (level-triggered).

An act is never taken back; it looks at the state when its time has come, and may do nothing.
"""

import heapq
from collections.abc import Callable
from datetime import datetime


class Timers:
    """Acts in the order of their times; at equal times in the order of asking.

    `sooner` is called when an act becomes the next one due: whoever sleeps until then sleeps too long.
    """

    def __init__(self, sooner: Callable[[], None] = lambda: None) -> None:
        self._sooner = sooner
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []
        self._turn = 0

    def at(self, due: datetime, act: Callable[[], None]) -> None:
        """Has `act` called by the first `run_due` at or after `due`."""
        self._turn += 1
        is_next = not self._heap or due < self._heap[0][0]
        heapq.heappush(self._heap, (due, self._turn, act))
        if is_next:
            self._sooner()

    def next_due(self) -> datetime | None:
        """The earliest time at which something may be to do."""
        return self._heap[0][0] if self._heap else None

    def run_due(self, now: datetime) -> int:
        """Calls everything due by `now`, also what that makes due; says how many acts ran."""
        count = 0
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()
            count += 1
        return count
