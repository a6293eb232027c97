"""A clock that stands still until it is moved, so that days pass in milliseconds.

Sleepers wake in the order of their due times. The simulator and the tests move it; programs that
really run use `runtime.clock.SystemClock`.
"""

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_HOPS = 50
"""How many turns of the event loop woken sleepers get before time moves on."""


class VirtualClock:
    """A `runtime.clock.Clock` that only `advance` and `run_for` move."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._turn = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Waits until the clock was moved `seconds` further; lets others run for zero or less."""
        waiter = asyncio.get_running_loop().create_future()
        if seconds <= 0:
            asyncio.get_running_loop().call_soon(_finish, waiter)
        else:
            self._turn += 1
            heapq.heappush(self._sleepers, (self._elapsed + seconds, self._turn, waiter))
        await waiter

    def after(self, seconds: float, call: Callable[[], object]) -> Callable[[], object]:
        """Calls `call` once the clock was moved `seconds` further; gives what calls it off."""
        sleeping = asyncio.ensure_future(self.sleep(seconds))
        sleeping.add_done_callback(lambda done: None if done.cancelled() else call())
        return sleeping.cancel

    def advance(self, seconds: float) -> None:
        """Moves time by `seconds` at once and wakes everybody who is due, the earliest first.

        Those who wake find the clock at its new place; `run_for` shows each his own moment.
        """
        self._move_to(self._target(seconds))

    async def run_for(self, seconds: float) -> None:
        """Moves time by `seconds` from one sleeper's due time to the next, letting each one run."""
        target = self._target(seconds)
        await self._let_run()
        while (due := self._next_due()) is not None and due <= target:
            self._move_to(due)
            await self._let_run()
        self._move_to(target)
        await self._let_run()

    def _target(self, seconds: float) -> float:
        if seconds < 0:
            raise ValueError("A virtual clock does not go back; advance it by zero seconds or more.")
        return self._elapsed + seconds

    def _next_due(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def _move_to(self, elapsed: float) -> None:
        self._elapsed = max(self._elapsed, elapsed)
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            _finish(heapq.heappop(self._sleepers)[2])

    async def _let_run(self) -> None:
        for _ in range(_HOPS):
            await self.sleep(0)


def _finish(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
