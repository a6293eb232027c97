"""Opens the database at the start, again and again while its server is away.

In a thread of its own: a server that stands still, or a long migration, keeps nobody from answering, or from
stopping. What cannot be mended by waiting is raised at once.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta

from andon.rules.backoff import backoff
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.store.absent import AbsentDatabase
from andon.store.opening import Opened
from andon.store.usable import ServerAway

LONGEST = timedelta(seconds=5)
"""Between two tries: what GitHub sends meanwhile is only on this machine's disk."""


class FirstOpening:
    """The tries to open one database."""

    def __init__(self, open_it: Callable[[], Opened], *, clock: Clock, log: Logger) -> None:
        self._open, self._clock, self._log = open_it, clock, log
        self.absent = AbsentDatabase()
        """What stands in for it until it is there."""

    async def run(self) -> Opened:
        """The database, once it is there. Raises Refused when waiting would not help."""
        failures = 0
        while True:
            try:
                return await _in_a_thread(self._open)
            except ServerAway as away:
                if away.said != self.absent.why:
                    self._log.warning("database.away", reason=str(away))
                self.absent.why = away.said
            await self._clock.sleep(min(LONGEST, backoff(failures)).total_seconds())
            failures += 1


async def _in_a_thread(open_it: Callable[[], Opened]) -> Opened:
    """Runs it where nobody has to wait for its end: whoever stops goes, and what is opened then is closed."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Opened] = loop.create_future()

    def run() -> None:
        opened: Opened | None = None
        failure: BaseException | None = None
        try:
            opened = open_it()
        except BaseException as error:
            failure = error

        def tell() -> None:
            if result.done():
                if opened is not None:
                    opened.store.close()
            elif opened is not None:
                result.set_result(opened)
            elif failure is not None:
                result.set_exception(failure)

        with contextlib.suppress(RuntimeError):
            # The loop may be closed by now.
            loop.call_soon_threadsafe(tell)

    threading.Thread(target=run, name="store-open", daemon=True).start()
    return await result
