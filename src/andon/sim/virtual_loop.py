"""An asyncio event loop whose time jumps: when nothing can run, it is the next timer's moment.

Whatever runs on it, with `asyncio.sleep`, timeouts or timers, needs no other clock, and days pass as
fast as their events can be worked through. Nothing here may wait for the outside: no sockets, no
threads, no subprocesses. What asks for a thread is run at once, in its turn.
"""

import asyncio
import heapq
import selectors
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, cast

START = datetime(2026, 1, 1, tzinfo=UTC)

OWNER: ContextVar[object | None] = ContextVar("owner", default=None)
"""Whose coroutine runs: what is started within belongs to the same one."""


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
        self._held: dict[object, list[asyncio.Handle]] = {}
        """Who stands still, and what each would have run meanwhile, in order."""
        self._to_hold: list[object] = []
        # Of the library's own making; it does not tell of them.
        self._ready: deque[asyncio.Handle]
        self._scheduled: list[asyncio.TimerHandle]

    def _move(self, seconds: float) -> None:
        self._virtual += seconds

    def time(self) -> float:
        """Seconds since this loop was made, without what was slept through."""
        return self._virtual

    def sleep_through(self, seconds: float) -> None:
        """Every machine sleeps at once, as in a night when nothing is to do: only calendars go on."""
        self.slept += seconds

    def hold(self, owner: object) -> None:
        """From the next turn on, whatever `owner` started stands still, as after SIGSTOP; time goes on."""
        self._to_hold.append(owner)

    def let_go(self, owner: object) -> None:
        """As SIGCONT: what has become due meanwhile runs now, in the order in which it did."""
        if owner in self._to_hold:
            self._to_hold.remove(owner)
        for handle in self._held.pop(owner, ()):
            if handle.cancelled():
                continue
            if isinstance(handle, asyncio.TimerHandle) and handle.when() > self._virtual:
                _mark(handle, scheduled=True)
                heapq.heappush(self._scheduled, handle)
            else:
                self._ready.append(handle)

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        if self._held:
            context = copy_context() if context is None else context
            if (held := self._held.get(context.get(OWNER))) is not None:
                handle = asyncio.Handle(callback, args, self, context)
                held.append(handle)
                return handle
        return super().call_soon(callback, *args, context=context)

    def _run_once(self) -> None:
        # Here and not in `hold`: in the middle of a turn, the list of what is ready must not shrink.
        for owner in self._to_hold:
            self._held.setdefault(owner, []).extend(self._take_out(owner))
        self._to_hold.clear()
        super()._run_once()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    def _take_out(self, owner: object) -> list[asyncio.Handle]:
        """Everything of `owner` that is ready or timed, the ready ones first."""
        ready = [each for each in self._ready if _owner(each) is owner]
        timed = sorted(each for each in self._scheduled if _owner(each) is owner)
        for each in ready:
            self._ready.remove(each)
        if timed:
            for each in timed:
                _mark(each, scheduled=False)
            self._scheduled[:] = [each for each in self._scheduled if _owner(each) is not owner]
            heapq.heapify(self._scheduled)
        return [*ready, *timed]

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Runs `func` now: a thread would be work that time does not wait for."""
        done: Future[Any] = Future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return asyncio.wrap_future(done, loop=self)


def _mark(handle: asyncio.TimerHandle, *, scheduled: bool) -> None:
    """Tells a timer whether it stands in the loop's list; one that is cancelled there is counted."""
    handle._scheduled = scheduled  # pyright: ignore[reportAttributeAccessIssue]


def _owner(handle: asyncio.Handle) -> object | None:
    context = cast("Context", handle._context)  # pyright: ignore[reportAttributeAccessIssue]
    return context.get(OWNER)


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
