"""Empties the trash beside everything else: at idle disk priority, a minute after something went there (R49).

Until then a rename that was a mistake can be taken back; nothing waits for a deletion (host-facts.md 1.4).
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from andon.agent.trees.delete import Emptied, empty_trash
from andon.agent.trees.system_calls import use_idle_disk_time
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop

UNDO_S = 60.0
"""How long what was put aside stays as it is."""
AGAIN_S = 300.0
"""Between two looks at what could not be deleted."""


class TrashEmptier:
    """`trashes` gives the folders; what is found in them at the first look has waited long enough."""

    def __init__(self, trashes: Callable[[], tuple[Path, ...]], *, clock: Clock, log: Logger) -> None:
        self._trashes, self._clock, self._log = trashes, clock, log
        self._seen: dict[Path, float] = {}
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="trash", initializer=_gently)
        self._said: dict[str, str] = {}
        self._first = True
        self._hurry = False
        self.loop = Loop("trash", self.look, period=AGAIN_S, clock=clock, log=log)

    def hurry(self) -> None:
        """The space is needed now: the next look, which is at once, waits for nothing (host-facts.md 2.2)."""
        self._hurry = True
        self.loop.nudge()

    async def look(self) -> float | None:
        """Deletes what has waited long enough; returns when the next will have."""
        now, young, removed = self._clock.monotonic(), dict[Path, frozenset[str]](), 0
        undo_s, self._hurry = 0.0 if self._hurry else UNDO_S, False
        seen: dict[Path, float] = {}
        trashes = await asyncio.to_thread(self._trashes)
        for trash in trashes:
            names = await asyncio.to_thread(_names, trash)
            for name in names:
                since = now - undo_s if self._first else now
                seen[trash / name] = self._seen.get(trash / name, since)
            young[trash] = frozenset(name for name in names if now - seen[trash / name] < undo_s)
        self._seen, self._first = seen, False
        for trash in trashes:
            done = await self._empty(trash, young[trash])
            removed += done.removed
            self._tell(done)
        if removed:
            self._log.info("trash.emptied", removed=removed)
        waits = [since + UNDO_S - now for path, since in seen.items() if path.name in young.get(path.parent, ())]
        return min(waits, default=None)

    async def _empty(self, trash: Path, leave: frozenset[str]) -> Emptied:
        going = asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: empty_trash(trash, go_on=lambda: not self._stop.is_set(), leave=leave)
        )
        return await going

    def _tell(self, done: Emptied) -> None:
        """Once for each thing that stays, not once for each look."""
        for one in done.remains:
            if self._said.get(one.path) != one.reason:
                self._said[one.path] = one.reason
                self._log.warning("trash.stays", path=repr(one.path), reason=one.reason)

    async def close(self) -> None:
        """Breaks off what is under way: the next agent goes on."""
        self._stop.set()
        await asyncio.to_thread(self._thread.shutdown)


def _names(trash: Path) -> list[str]:
    return sorted(each.name for each in trash.iterdir())


def _gently() -> None:
    with contextlib.suppress(OSError):
        use_idle_disk_time()
