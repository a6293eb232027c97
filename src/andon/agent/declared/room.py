"""Frees what was declared outside the agent's root: beyond a cap at any time, the rest when its room is needed.

What is needed is decided for all kinds of bytes together (`agent.disk.evictions`), workspaces first. Everything here is
done at idle disk priority in one thread, a bounded number of things at each look (R31).
"""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from andon.agent.declared.caches import Caches
from andon.agent.declared.checkouts import Checkouts
from andon.agent.declared.images import EngineImages
from andon.agent.declared.removing import AT_ONCE, DeclaredRemover
from andon.agent.declared.things import Identity, Thing
from andon.agent.trees.idle_thread import idle_thread
from andon.agent.workspaces.work_trash import TRASH, is_ours
from andon.model.disk import Pinned
from andon.model.rails import RailMode
from andon.rules.disk_plan import Rank
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop

LOOK_S = 15.0
_T = TypeVar("_T")


class DeclaredRoom:
    """`wanted` gives the ids of what must go for its room now; `mode` is the guard's switch; `changed` is called when
    something went into a trash; `stop` is set when what is under way in the thread is to end."""

    def __init__(
        self,
        checkouts: Checkouts,
        caches: Caches,
        images: EngineImages,
        remover: DeclaredRemover,
        *,
        wanted: Callable[[], frozenset[str]],
        mode: Callable[[], RailMode],
        changed: Callable[[], None],
        stop: threading.Event,
        clock: Clock,
        log: Logger,
    ) -> None:
        self._checkouts, self._caches, self._images, self._remover = checkouts, caches, images, remover
        self._wanted, self._mode, self._changed, self._stop, self._log = wanted, mode, changed, stop, log
        self._things: tuple[Thing, ...] = ()
        self._stay: dict[str, tuple[Thing, str]] = {}
        """What would have gone, and why it did not."""
        self._said: dict[str, str] = {}
        self._busy: Callable[[], bool] = lambda: True
        self._thread = idle_thread("declared")
        self.loop = Loop("declared", self.look, period=LOOK_S, clock=clock, log=log)

    def wait_while(self, busy: Callable[[], bool]) -> None:
        """From now on no engine prunes images while `busy` says that a job runs on this host; until then none does."""
        self._busy = busy

    def things(self) -> tuple[Thing, ...]:
        """What may go, as the last look found it."""
        return self._things

    def places(self) -> tuple[Path, ...]:
        """What was declared, for who watches filesystems."""
        return (*self._caches.paths(), *self._images.places())

    def trashes(self) -> tuple[Path, ...]:
        """Our own trash in each cache that has one; those of work folders are known elsewhere."""
        return tuple(trash for trash in (cache / TRASH for cache in self._caches.present()) if is_ours(trash))

    def caches(self) -> dict[Path, Identity]:
        """Each cache that is there, whatever its kind."""
        return self._caches.present()

    def pinned(self) -> tuple[Pinned, ...]:
        """What would go and could not, and what hinders a rule from being followed."""
        held = [
            Pinned(path=str(one.path), by=f"{one.owner}: {why}", bytes=one.bytes) for one, why in self._stay.values()
        ]
        caches = [Pinned(path=path, by=f"the cache {path}: {why}") for path, why in self._caches.troubles.items()]
        images = [Pinned(path=str(path), by=why) for path, why in self._images.troubles.values()]
        return (*held, *caches, *images)

    async def look(self) -> float | None:
        """Finds what may go, and takes away what must; returns how soon the next look is due."""
        self._things = await self._run(self._find)
        self._say_absent()
        ids = {one.id for one in self._things}
        self._stay = {id: one for id, one in self._stay.items() if id in ids or self._caches.holds(id)}
        if self._mode() != "act":
            return None
        wanted = self._wanted()
        going = [one for one in self._things if one.rank is Rank.CACHE or one.id in wanted]
        # What was held at the last look waits for who was not asked about yet.
        now = sorted((one for one in going if one.rank is not Rank.IMAGES), key=lambda one: one.id in self._stay)
        gone = await self._take(now[:AT_ONCE]) if now else 0
        if gone:
            self._changed()
            return 1.0
        for one in going:
            if one.rank is Rank.IMAGES:
                await self._prune(one)
        return None

    def _find(self) -> tuple[Thing, ...]:
        return (*self._caches.beyond(), *self._checkouts.old(), *self._images.due())

    async def _take(self, things: list[Thing]) -> int:
        """How many went."""
        stayed = await self._run(lambda: self._take_now(things))
        for one in things:
            why = stayed[one.id]
            if why is None:
                self._caches.gone(one)
                self._stay.pop(one.id, None)
                self._log.info("declared.trashed", path=str(one.path), reason=one.why, bytes=one.bytes)
            else:
                self._caches.stays(one)
                self._keep(one, why)
        gone = {id for id, why in stayed.items() if why is None}
        self._things = tuple(one for one in self._things if one.id not in gone)
        return len(gone)

    def _take_now(self, things: list[Thing]) -> dict[str, str | None]:
        young = {
            one.id: why
            for one in things
            if one.rank is Rank.CHECKOUT and (why := self._checkouts.why_not_now(one)) is not None
        }
        return young | self._remover.take_away(one for one in things if one.id not in young)

    async def _prune(self, one: Thing) -> None:
        if self._busy():
            self._keep(one, "A job runs on this host, and may be about to use one of them.")
            return
        self._stay.pop(one.id, None)
        await self._images.prune(one)

    def _keep(self, one: Thing, why: str) -> None:
        if self._stay.get(one.id, (one, ""))[1] != why:
            self._log.info("declared.stays", path=str(one.path), reason=why)
        self._stay[one.id] = one, why

    def _say_absent(self) -> None:
        """Once for each cache that is not there, not once for each look."""
        absent = dict(self._caches.absent)
        for path, why in absent.items():
            if self._said.get(path) != why:
                self._log.warning("cache.absent", path=path, reason=why)
        self._said = absent

    async def _run(self, what: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, what)

    async def close(self) -> None:
        """Breaks off what is under way."""
        self._stop.set()
        await asyncio.to_thread(self._thread.shutdown)
