"""Empties the trash beside everything else: at idle disk priority, a minute after something went there (R49).

Until then a rename that was a mistake can be taken back; nothing waits for a deletion (host-facts.md 1.4).
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from andon.agent.disk.filesystems import room_at
from andon.agent.trees.delete import Emptied, empty_trash
from andon.agent.trees.idle_thread import idle_thread
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop

UNDO_S = 60.0
"""How long what was put aside stays as it is."""
AGAIN_S = 300.0
"""Between two looks at what could not be deleted."""


class TrashEmptier:
    """`trashes` gives the folders; what is found in them at the first look has waited long enough.

    `gone` is told of each name that is gone, with the bytes that it took; `passed` of each emptying: the trash, the
    number of names that went as a whole, and how much more is free after it than before.
    """

    def __init__(
        self,
        trashes: Callable[[], tuple[Path, ...]],
        *,
        gone: Callable[[str, int], None] = lambda name, size: None,
        passed: Callable[[Path, int, int], None] = lambda trash, names, freed: None,
        clock: Clock,
        log: Logger,
    ) -> None:
        self._trashes, self._gone, self._passed = trashes, gone, passed
        self._clock, self._log = clock, log
        self._seen: dict[Path, float] = {}
        self._stop = threading.Event()
        self._thread = idle_thread("trash")
        self._said: dict[str, str] = {}
        self._stuck: frozenset[Path] = frozenset()
        self._first = True
        self._hurry = False
        self.loop = Loop("trash", self.look, period=AGAIN_S, clock=clock, log=log)

    def hurry(self) -> None:
        """The space is needed now: the next look, which is at once, waits for nothing (host-facts.md 2.2)."""
        self._hurry = True
        self.loop.nudge()

    def waiting(self) -> tuple[Path, ...]:
        """What lies in the trashes and will go; blocks a little. What stayed at the last emptying is left out."""
        found: list[Path] = []
        for trash in self._trashes():
            with contextlib.suppress(OSError):
                found += [trash / name for name in _names(trash)]
        return tuple(path for path in found if path not in self._stuck)

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
        stuck: set[Path] = set()
        for trash in trashes:
            done = await self._empty(trash, young[trash])
            removed += done.removed
            self._tell(done)
            stuck |= {trash / Path(one.path).relative_to(trash).parts[0] for one in done.remains}
        self._stuck = frozenset(stuck)
        if removed:
            self._log.info("trash.emptied", removed=removed)
        waits = [since + UNDO_S - now for path, since in seen.items() if path.name in young.get(path.parent, ())]
        return min(waits, default=None)

    async def _empty(self, trash: Path, leave: frozenset[str]) -> Emptied:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._empty_now(trash, leave))

    def _empty_now(self, trash: Path, leave: frozenset[str]) -> Emptied:
        before, names = _free(trash), list[str]()

        def gone(name: str, size: int) -> None:
            names.append(name)
            self._gone(name, size)

        done = empty_trash(trash, go_on=lambda: not self._stop.is_set(), leave=leave, gone=gone)
        if names:
            self._passed(trash, len(names), _free(trash) - before)
        return done

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


def _free(folder: Path) -> int:
    try:
        return room_at(folder).free
    except OSError:
        return 0
