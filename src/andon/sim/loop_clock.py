"""Clocks on a virtual loop: each machine of the simulator may have its own, and a wrong one."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from andon.sim.virtual_loop import VirtualLoop

START = datetime(2026, 1, 1, tzinfo=UTC)


class LoopClock:
    """A `runtime.clock.Clock` on a virtual loop."""

    def __init__(self, loop: VirtualLoop, start: datetime = START) -> None:
        self._loop = loop
        self._start = self._shown = start
        self._seconds: float = 0.0
        self._skew = timedelta(0)

    @property
    def skew(self) -> timedelta:
        """How far its calendar is off, as a person or NTP would set it; what is left of a sleep does not change."""
        return self._skew

    @skew.setter
    def skew(self, skew: timedelta) -> None:
        self._shown += skew - self._skew
        self._skew = skew

    def now(self) -> datetime:
        seconds = self._loop.time() + self._loop.slept
        # Asked ten times at each moment of the story.
        if seconds != self._seconds:
            self._seconds = seconds
            self._shown = self._start + timedelta(seconds=seconds) + self._skew
        return self._shown

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        # This is a clock: its loop's time is all the time there is.
        await asyncio.sleep(max(0.0, seconds))  # noqa: TID251

    def after(self, seconds: float, call: Callable[[], object]) -> Callable[[], object]:
        return self._loop.call_later(max(0.0, seconds), call).cancel
