"""One loop: act on state, on a timer and on a nudge (law 2). Loops only differ in `run_once`."""

import asyncio
from collections.abc import Awaitable, Callable

from andon.runtime.clock import Clock
from andon.runtime.logging import Logger


class Nudge:
    """A wake-up that is never lost and never counts: many nudges are one.

    `version` grows with each call, so that somebody who looked at the state first can wait for
    what came after the look.
    """

    def __init__(self) -> None:
        self.version = 0
        self._waiters: dict[asyncio.Future[bool], None] = {}
        """In the order of their coming, so that they are woken in it."""

    def __call__(self) -> None:
        self.version += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(True)
        self._waiters.clear()

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it right now; tests look instead of sleeping."""
        return bool(self._waiters)

    async def wait_beyond(self, version: int) -> None:
        """Returns as soon as the nudge is newer than `version`."""
        while self.version <= version:
            await self._woken(self._waiter())

    def _waiter(self) -> "asyncio.Future[bool]":
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        return waiter

    async def _woken(self, waiter: "asyncio.Future[bool]") -> bool:
        try:
            return await waiter
        finally:
            self._waiters.pop(waiter, None)

    async def wait_at_most(self, seen: int, clock: Clock, seconds: float) -> bool:
        """Waits for a nudge beyond `seen`, at most `seconds`; says whether one came."""
        if self.version > seen:
            return True
        waiter = self._waiter()
        call_off = clock.after(seconds, lambda: waiter.done() or waiter.set_result(False))
        try:
            return await self._woken(waiter)
        finally:
            call_off()


async def wait_for_nudge(nudge: Nudge, seen: int, clock: Clock, seconds: float) -> bool:
    """Waits for a nudge beyond `seen`, at most `seconds`; says whether one came."""
    return await nudge.wait_at_most(seen, clock, seconds)


class Loop:
    """Calls `run_once` on every nudge and at least every `period` seconds.

    A pass that raises is logged and tried again after a pause that doubles up to `period`; the
    loop itself never ends because of it. `run_once` may return a shorter pause than the period,
    in seconds, when it knows of something due sooner.
    """

    def __init__(
        self,
        name: str,
        run_once: Callable[[], Awaitable[float | None]],
        *,
        period: float,
        clock: Clock,
        log: Logger,
        on_success: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.name = name
        self.nudge = Nudge()
        self.passes = Nudge()
        """Nudged after every pass; tests wait for it instead of sleeping."""
        self._run_once = run_once
        self._period = period
        self._clock = clock
        self._log = log
        self._on_success = on_success

    async def run(self) -> None:
        """Runs until cancelled."""
        failures = 0
        while True:
            seen = self.nudge.version
            pause = self._period
            try:
                wanted = await self._run_once()
                if wanted is not None:
                    pause = max(0.0, min(self._period, wanted))
                if failures:
                    self._log.info("loop.recovered", loop=self.name, failures=failures)
                failures = 0
                self._on_success(self.name)
            except Exception:
                failures += 1
                pause = min(self._period, 0.1 * 2 ** min(failures, 12))
                self._log.exception("loop.failed", loop=self.name, failures=failures, pause_s=pause)
            self.passes()
            if failures:
                # A nudge must not turn a failing pass into a busy loop.
                await self._clock.sleep(min(pause, 1.0))
            await wait_for_nudge(self.nudge, seen, self._clock, pause)
