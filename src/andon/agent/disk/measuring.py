"""What the directories of this host take, measured beside everything else: slowly and at idle disk priority.

Never before a job, and never in anybody's way: a walk over 200,000 files takes a second (host-facts.md 1.4), so the
measuring rests fifty times as long as it worked. What is dead is measured once; what lives is now and then.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from andon.agent.trees.idle_thread import idle_thread
from andon.agent.trees.size import Broken, tree_size
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop, Nudge

AGAIN_S = 600.0
"""How old a number of something that still changes may be."""
LOOK_S = 30.0
REST = 50.0
AT_ONCE_S = 0.05
"""So long it goes on measuring small ones before it rests and tells."""


class ToMeasure(msgspec.Struct, frozen=True, kw_only=True):
    """One directory."""

    path: Path
    identity: tuple[int, int]
    """Device and inode: another one under its name is measured anew."""
    still: bool
    """Nothing changes it any more."""


class _Size(msgspec.Struct, frozen=True, kw_only=True):
    bytes: int | None
    at: float
    still: bool


class Measurer:
    """`wanted` gives the directories, the most wanted first; `changed` is nudged when there is a new number."""

    def __init__(
        self,
        wanted: Callable[[], Iterable[ToMeasure]],
        *,
        changed: Nudge | Callable[[], None],
        clock: Clock,
        log: Logger,
    ) -> None:
        self._wanted, self._changed, self._clock, self._log = wanted, changed, clock, log
        self._sizes: dict[tuple[Path, tuple[int, int]], _Size] = {}
        self._stop = threading.Event()
        self._thread = idle_thread("sizes")
        self.loop = Loop("sizes", self.look, period=LOOK_S, clock=clock, log=log)

    def size_of(self, path: Path, identity: tuple[int, int], *, still: bool = False) -> int | None:
        """Bytes that it took when it was measured last; None: not yet, or with `still` not since it came to rest."""
        found = self._sizes.get((path, identity))
        return None if found is None or (still and not found.still) else found.bytes

    async def look(self) -> float:
        """Measures what is due, one that takes long or many that do not; returns how long to rest."""
        wanted = tuple(self._wanted())
        keys = {(one.path, one.identity) for one in wanted}
        self._sizes = {key: size for key, size in self._sizes.items() if key in keys}
        now = self._clock.monotonic()
        spent, news, measured = 0.0, False, False
        for due in [one for one in wanted if self._is_due(one, now)]:
            took, size = await asyncio.get_running_loop().run_in_executor(self._thread, self._measure, due.path)
            spent, measured = spent + took, True
            key = due.path, due.identity
            was = self._sizes.get(key)
            # What could not be measured has its turn again, and holds up no other until then.
            self._sizes[key] = _Size(bytes=size, at=now, still=due.still and size is not None)
            news = news or (size is not None and (was is None or was.bytes != size))
            if spent >= AT_ONCE_S:
                break
        if news:
            # Once for all of them: each word of it makes others look.
            self._changed()
        return min(LOOK_S, spent * REST) if measured else LOOK_S

    def _is_due(self, one: ToMeasure, now: float) -> bool:
        found = self._sizes.get((one.path, one.identity))
        if found is None:
            return True
        # Once more when it came to rest; and what cannot be measured not at every look.
        if found.still:
            return False
        return now - found.at >= AGAIN_S or (one.still and found.bytes is not None)

    def _measure(self, path: Path) -> tuple[float, int | None]:
        begun = self._clock.monotonic()
        size: int | None = None
        with contextlib.suppress(OSError, Broken):
            size = tree_size(path, go_on=lambda: not self._stop.is_set())
        return self._clock.monotonic() - begun, size

    async def close(self) -> None:
        """Breaks off what is under way."""
        self._stop.set()
        await asyncio.to_thread(self._thread.shutdown)
