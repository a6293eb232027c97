"""Named caches outside the agent's root: those that are kept to a cap, by their least recently used entries (R55).

When an entry was last used, the filesystem says (a file's last read, as far as the mount keeps that, or write). It only
decides who goes first: who still uses one is asked of the kernel before it goes.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from andon.agent.declared.things import Identity, Thing
from andon.agent.leases.mounts import mount_above, parse_mounts, read_mountinfo
from andon.agent.leases.place import is_network
from andon.agent.trees.size import Broken, tree_facts
from andon.agent.trees.system_calls import open_beneath, open_without_links
from andon.agent.workspaces.work_trash import TRASH
from andon.model.config import Cache
from andon.model.disk import PathClass
from andon.rules.declared_life import CacheEntry, beyond_cap
from andon.rules.disk_plan import Rank
from andon.rules.sizes import parse_size

AGAIN_S = 600.0
REST = 50.0
"""So many times as long as a walk took nobody walks again, where that is more."""
MOST = 100_000
"""Entries of one cache: with more, it is kept to its cap by none."""
HOUR_S = 3600.0
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class _TooMany(Exception):
    pass


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    thing: Thing
    bytes: int


class Caches:
    """`declared` are the caches of the configuration, `now` a steady time of day. Blocks: for a thread."""

    def __init__(self, declared: tuple[Cache, ...], *, now: Callable[[], float], go_on: Callable[[], bool]) -> None:
        self._declared, self._now, self._go_on = declared, now, go_on
        self._entries: dict[str, dict[str, _Entry]] = {}
        self._due: dict[str, float] = {}
        self._held: set[str] = set()
        """Entries that were found in use since their cache was looked at."""
        self.troubles: dict[str, str] = {}
        """By the path of a cache that is there: why it is kept to no cap."""
        self.absent: dict[str, str] = {}
        """By its path: why a cache is not counted at all."""

    def paths(self) -> tuple[Path, ...]:
        """Every cache that was declared."""
        return tuple(Path(one.path) for one in self._declared)

    def present(self) -> dict[Path, Identity]:
        """Those that are there, on a local disk. Asks no other filesystem, so it blocks no longer than that."""
        out, absent = dict[Path, Identity](), dict[str, str]()
        mounts = parse_mounts(read_mountinfo("self")) if self._declared else ()
        for cache in self._declared:
            mount = mount_above(cache.path, mounts)
            if mount is not None and is_network(mount):
                absent[cache.path] = f"It lies on {mount.kind}, whose locks cannot be trusted."
                continue
            try:
                file = open_without_links(cache.path, _FOLDER)
            except OSError as error:
                absent[cache.path] = _why(error)
                continue
            found = os.fstat(file)
            os.close(file)
            out[Path(cache.path)] = found.st_dev, found.st_ino
        self.absent = absent
        return out

    def beyond(self) -> tuple[Thing, ...]:
        """The entries that are more than the caps allow, the least recently used of each cache first."""
        out: list[Thing] = []
        here = self.present()
        for cache in self._declared:
            if cache.kind == "lru" and Path(cache.path) in here:
                self._look(cache)
                out += self._beyond(cache)
        return tuple(out)

    def gone(self, thing: Thing) -> None:
        """It is there no more: its cache is smaller by it."""
        for entries in self._entries.values():
            entries.pop(thing.id, None)

    def stays(self, thing: Thing) -> None:
        """Something uses it: until the next look at its cache another one goes instead."""
        self._held.add(thing.id)

    def holds(self, id: str) -> bool:
        """Whether this entry stays although it would go."""
        return id in self._held

    def _beyond(self, cache: Cache) -> Iterator[Thing]:
        entries = self._entries.get(cache.path, {})
        sized = (CacheEntry(id=id, bytes=entry.bytes, used_at=entry.thing.used_at) for id, entry in entries.items())
        used_before = self._now() - cache.unused_hours * HOUR_S
        cap = parse_size(cache.cap or "")
        if cap is not None:
            for id in beyond_cap(sized, cap, used_before=used_before, held=self._held):
                yield entries[id].thing

    def _look(self, cache: Cache) -> None:
        began = self._now()
        if began < self._due.get(cache.path, 0.0):
            return
        home = Path(cache.path)
        try:
            file = open_without_links(cache.path, _FOLDER)
            try:
                self._held -= self._entries.pop(cache.path, {}).keys()
                self._entries[cache.path] = {one.thing.id: one for one in self._walk(file, home, home, cache.depth)}
            finally:
                os.close(file)
            self.troubles.pop(cache.path, None)
        except Broken:
            return
        except _TooMany:
            self._entries.pop(cache.path, None)
            self.troubles[cache.path] = (
                f"It has more than {MOST:,} entries at its depth of {cache.depth}: name a smaller one."
            )
        except OSError as error:
            self._entries.pop(cache.path, None)
            self.troubles[cache.path] = _why(error)
        ended = self._now()
        self._due[cache.path] = ended + max(AGAIN_S, REST * (ended - began))

    def _walk(self, folder: int, path: Path, home: Path, depth: int) -> Iterator[_Entry]:
        """The entries below the open `folder`; what is neither a directory nor a plain file is none."""
        count = 0
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MOST + 1), strict=False)]
        for name in names:
            if path == home and name == TRASH:
                continue
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if depth > 1:
                    if stat.S_ISDIR(found.st_mode):
                        for one in self._walk_below(folder, name, path / name, home, depth - 1):
                            count += 1
                            yield one
                elif stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode):
                    count += 1
                    yield self._entry(path / name, found, home)
            except OSError:
                # It went meanwhile, or may not be looked at: then it is not ours to take either.
                continue
            if count > MOST:
                raise _TooMany

    def _walk_below(self, folder: int, name: str, path: Path, home: Path, depth: int) -> Iterator[_Entry]:
        inner = open_beneath(folder, name, _FOLDER)
        try:
            yield from self._walk(inner, path, home, depth)
        finally:
            os.close(inner)

    def _entry(self, path: Path, found: os.stat_result, home: Path) -> _Entry:
        facts = tree_facts(path, go_on=self._go_on)
        thing = Thing(
            id=str(path),
            path=path,
            identity=(found.st_dev, found.st_ino),
            home=home,
            rank=Rank.CACHE,
            path_class=PathClass.CACHE,
            owner=f"the cache {home}",
            why="its cache is larger than its cap, and nothing of it was used for longer",
            uid=found.st_uid,
            bytes=facts.bytes,
            used_at=facts.used_at,
        )
        return _Entry(thing=thing, bytes=facts.bytes)


def _why(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "A link, or no folder, stands in its path: declare the path without links."
    return f"It cannot be looked at ({error.strerror})."
