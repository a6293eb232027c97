"""The filesystems that jobs and the agent of this host write to, and what each has left.

One that hangs (a network filesystem whose server is gone) holds up nobody: it is asked in a thread of its own, which
is not asked again until it is back, and meanwhile it cannot be told (law 4).
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from andon.rules.disk_marks import Room

LIMIT_S = 1.0
"""How long one look waits for all of them."""
_MOST_THREADS = 8


class Use(NamedTuple):
    """A folder that somebody writes to."""

    path: Path
    slots: frozenset[int]
    """The slots whose jobs, or whose runner's own logs, are written there."""


class Filesystem(NamedTuple):
    """One filesystem as it is now."""

    device: int
    mount: str
    room: Room
    slots: frozenset[int]


class _Seen(NamedTuple):
    device: int
    mount: str
    room: Room


class Looked(NamedTuple):
    """What one look told."""

    found: tuple[Filesystem, ...]
    untold: tuple[Use, ...]
    """Folders whose filesystem did not answer, or that are not there."""


class Filesystems:
    """`uses` gives the folders; `measure` looks at one, and may hang."""

    def __init__(self, uses: Callable[[], Iterable[Use]], *, limit_s: float = LIMIT_S) -> None:
        self._uses, self._limit_s = uses, limit_s
        self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="statvfs")
        self._asked: dict[Path, Future[_Seen]] = {}

    async def look(self) -> Looked:
        """Every filesystem that answers in time, each once."""
        uses = tuple(self._uses())
        for use in uses:
            # One that still hangs is not asked a second time: it would take every thread there is.
            if use.path not in self._asked or self._asked[use.path].done():
                self._asked[use.path] = self._threads.submit(_measure, use.path)
        waiting = [asyncio.wrap_future(self._asked[use.path]) for use in uses]
        if waiting:
            await asyncio.wait(waiting, timeout=self._limit_s)
        found: dict[int, Filesystem] = {}
        untold: list[Use] = []
        for use in uses:
            answer = self._asked[use.path]
            if not answer.done() or answer.exception() is not None:
                untold.append(use)
                continue
            seen = answer.result()
            slots = use.slots | (found[seen.device].slots if seen.device in found else frozenset())
            found[seen.device] = Filesystem(seen.device, seen.mount, seen.room, slots)
        self._asked = {use.path: self._asked[use.path] for use in uses}
        return Looked(tuple(found.values()), tuple(untold))

    def close(self) -> None:
        """What hangs is left to itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def room_at(path: str | Path) -> Room:
    """The room of the filesystem of `path`. Raises OSError."""
    found = os.statvfs(path)
    return Room(
        total=found.f_blocks * found.f_frsize,
        free=found.f_bavail * found.f_frsize,
        inodes=found.f_files,
        inodes_free=found.f_favail,
    )


def _measure(path: Path) -> _Seen:
    device = path.stat().st_dev
    top = Path(os.path.realpath(path))
    while top != top.parent and top.parent.stat().st_dev == device:
        top = top.parent
    return _Seen(device, str(top), room_at(path))
