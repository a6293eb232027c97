"""An asyncio event loop whose time jumps: when nothing can run, it is the next timer's moment.

Whatever runs on it, with `asyncio.sleep`, timeouts or timers, needs no other clock, and days pass as
fast as their events can be worked through. Nothing here may wait for the outside: no sockets, no
threads, no subprocesses. What asks for a thread is run at once, in its turn. It is a loop of its own
and no change of the library's, which spends most of its turns on files and threads.
"""

import asyncio
import heapq
import logging
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextvars import Context, ContextVar, copy_context
from typing import Any

OWNER: ContextVar[object | None] = ContextVar("owner", default=None)
"""Whose coroutine runs: what is started within belongs to the same one."""


_LEAST_S = 1e-6
"""Nobody waits for less, and calendars show no less."""


class Deadlock(Exception):
    """Everything waits, and nothing is due: no event can ever come."""


class _Call:
    """One call to come: what asyncio names a handle."""

    __slots__ = ("args", "at", "callback", "context", "off")

    def __init__(self, at: float | None, callback: Callable[..., object], args: tuple[Any, ...], context: Context):
        self.at = at
        """When a timer is due; None: with the next turn."""
        self.callback, self.args, self.context = callback, args, context
        self.off = False

    def cancel(self) -> None:
        self.off = True

    def cancelled(self) -> bool:
        return self.off

    def when(self) -> float:
        assert self.at is not None
        return self.at


class VirtualLoop(asyncio.AbstractEventLoop):
    """`time()` begins at 0 and moves only when nothing is left to do at the present moment.

    A callback that raises ends the story with its exception: on this loop nobody else would see it.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self.slept = 0.0
        """How long calendars went on while nobody was awake."""
        self._ready: deque[_Call] = deque()
        self._timers: list[tuple[float, int, _Call]] = []
        """A heap; of two at the same moment the one that was made first."""
        self._made = 0
        self._held: dict[object, list[_Call]] = {}
        """Who stands still, and what each would have run meanwhile, in order."""
        self._to_hold: list[object] = []
        self._factory: Any = None
        self._stopping = self._running = self._closed = False

    def time(self) -> float:
        """Seconds since this loop was made, without what was slept through."""
        return self._now

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
        for call in self._held.pop(owner, ()):
            if call.at is not None and call.at > self._now:
                self._push(call, call.at)
            else:
                self._ready.append(call)

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        call = _Call(None, callback, args, copy_context() if context is None else context)
        if self._held and (held := self._held.get(call.context.get(OWNER))) is not None:
            held.append(call)
        else:
            self._ready.append(call)
        return call

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        """There are no threads; a signal handler may call it."""
        return self.call_soon(callback, *args, context=context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        # Of the rest that rounding leaves of a wait, nothing would be added to the time, for ever.
        delay = max(delay, _LEAST_S) if delay > 0 else 0.0
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        call = _Call(when, callback, args, copy_context() if context is None else context)
        self._push(call, when)
        return call

    def _push(self, call: _Call, when: float) -> None:
        self._made += 1
        heapq.heappush(self._timers, (when, self._made, call))

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> Any:
        if self._factory is None:
            return asyncio.Task(coro, loop=self, name=name, context=context)
        task = self._factory(self, coro) if context is None else self._factory(self, coro, context=context)
        if name is not None:
            task.set_name(name)
        return task

    def set_task_factory(self, factory: Any) -> None:
        self._factory = factory

    def get_task_factory(self) -> Any:
        return self._factory

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Runs `func` now: a thread would be work that time does not wait for."""
        done: Future[Any] = Future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return asyncio.wrap_future(done, loop=self)

    def run_until_complete(self, future: Any) -> Any:
        """Raises Deadlock when it never can be."""
        awaited: asyncio.Future[Any] = asyncio.ensure_future(future, loop=self)
        awaited.add_done_callback(self._stop)
        try:
            self.run_forever()
        finally:
            awaited.remove_done_callback(self._stop)
        return awaited.result()

    def run_forever(self) -> None:
        before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._left_over)
        asyncio._set_running_loop(self)
        self._running = True
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._stopping = self._running = False
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*before)

    def _turn(self) -> None:
        """What is ready now, or what comes next."""
        for owner in self._to_hold:
            self._held.setdefault(owner, []).extend(self._take_out(owner))
        self._to_hold.clear()
        ready, timers = self._ready, self._timers
        if not ready:
            while timers and timers[0][2].off:
                heapq.heappop(timers)
            if not timers:
                raise Deadlock("Everything waits, and nothing is due.")
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            call = ready.popleft()
            if not call.off:
                call.context.run(call.callback, *call.args)

    def _take_out(self, owner: object) -> list[_Call]:
        """Everything of `owner` that is ready or timed, the ready ones first."""
        ready = [each for each in self._ready if each.context.get(OWNER) is owner]
        timed = [each for each in self._timers if each[2].context.get(OWNER) is owner]
        if ready:
            self._ready = deque(each for each in self._ready if each.context.get(OWNER) is not owner)
        if timed:
            self._timers = [each for each in self._timers if each[2].context.get(OWNER) is not owner]
            heapq.heapify(self._timers)
        return [*ready, *(call for _, _, call in sorted(timed))]

    def _stop(self, _: object) -> None:
        self._stopping = True

    def _left_over(self, generator: AsyncGenerator[Any, Any]) -> None:
        """A generator that nobody reads to its end: its `finally` runs on this loop."""
        if not self._closed:
            self.create_task(generator.aclose())

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Said by the library of a coroutine whose exception nobody ever looked at."""
        logging.getLogger("asyncio").error("%s", context["message"], exc_info=context.get("exception"))

    def stop(self) -> None:
        self._stopping = True

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._ready.clear()
        self._timers.clear()

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """There is none."""

    async def shutdown_asyncgens(self) -> None:
        """Each is ended when it is left, see `_left_over`."""

    async def shutdown_default_executor(self) -> None:
        """There is none."""


def running_loop() -> VirtualLoop:
    """The virtual loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
