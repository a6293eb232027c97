"""An asyncio event loop whose time jumps: when nothing can run, it is the next timer's moment.

Whatever runs on it, with `asyncio.sleep`, timeouts or timers, needs no other clock, and days pass as
fast as their events can be worked through. Nothing here may wait for the outside: no sockets, no
threads, no subprocesses. What asks for a thread is run at once, in its turn.
"""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 1, 1, tzinfo=UTC)


class Deadlock(Exception):
    """Everything waits, and nothing is due: no event can ever come."""


class _NoFiles(selectors.BaseSelector):
    """Watches nothing; `select` only moves the time on."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        self._jump = jump
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[fileobj]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("Everything waits, and nothing is due.")
        if timeout > 0:
            self._jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0 and moves only when nothing is left to do at the present moment."""

    def __init__(self) -> None:
        self._virtual = 0.0
        self.slept = 0.0
        """How long calendars went on while nobody was awake."""
        super().__init__(_NoFiles(self._move))
        # A timer is due at its own moment: rounding would let two clocks disagree.
        self._clock_resolution = 1e-9

    def _move(self, seconds: float) -> None:
        self._virtual += seconds

    def time(self) -> float:
        """Seconds since this loop was made, without what was slept through."""
        return self._virtual

    def sleep_through(self, seconds: float) -> None:
        """Every machine sleeps at once, as in a night when nothing is to do: only calendars go on."""
        self.slept += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Runs `func` now: a thread would be work that time does not wait for."""
        done: Future[Any] = Future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return asyncio.wrap_future(done, loop=self)


def running_loop() -> VirtualLoop:
    """The virtual loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


class LoopClock:
    """A `runtime.clock.Clock` on a virtual loop. Each machine may have its own, and a wrong one.

    `skew` moves its calendar time, as a person or NTP would; what is left of a sleep does not change.
    """

    def __init__(self, loop: VirtualLoop, start: datetime = START) -> None:
        self._loop = loop
        self._start = start
        self.skew = timedelta(0)

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._loop.time() + self._loop.slept) + self.skew

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        # This is a clock: its loop's time is all the time there is.
        await asyncio.sleep(max(0.0, seconds))  # noqa: TID251

    def after(self, seconds: float, call: Callable[[], object]) -> Callable[[], object]:
        return self._loop.call_later(max(0.0, seconds), call).cancel
