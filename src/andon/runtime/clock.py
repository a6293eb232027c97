"""Time, handed in everywhere: no other room reads the global clock."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic seconds for waiting, and the waiting itself."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""
        ...

    def after(self, seconds: float, call: Callable[[], object]) -> Callable[[], object]:
        """Calls `call` so much later, on the running event loop; gives what calls it off."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def after(self, seconds: float, call: Callable[[], object]) -> Callable[[], object]:
        return asyncio.get_running_loop().call_later(max(0.0, seconds), call).cancel


def seconds_since_boot() -> float:
    """With the time the machine was asleep; nobody can set it, so ages that must not lie are measured by it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
