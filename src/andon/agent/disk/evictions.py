"""What must go for its room now, workspaces and what was declared outside the root: the keeper asks at each look, the
rule decides (`rules.disk_plan`)."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from andon.agent.declared.things import Thing
from andon.agent.disk.filesystems import room_at
from andon.agent.disk.journal import DeletionJournal, Stage
from andon.agent.disk.which_filesystem import WhichFilesystem
from andon.model.config import Disk
from andon.model.disk import DiskLevel
from andon.model.workspaces import LeaseRecord
from andon.rules.disk_marks import Room, level_of
from andon.rules.disk_plan import Candidate, Leaving, choose


class Short(msgspec.Struct, frozen=True, kw_only=True):
    """One filesystem with what on it may go, in no order."""

    room: Room
    candidates: tuple[Candidate, ...]
    leaving: Leaving


class Evictions:
    """`size_of` gives what is measured; `in_trash` the names that wait in trashes, those that stay there left out;
    `declared` what may go outside the root."""

    def __init__(
        self,
        marks: Disk,
        journal: DeletionJournal,
        size_of: Callable[[LeaseRecord], int | None],
        in_trash: Callable[[], Iterable[Path]],
        measure_soon: Callable[[], None],
        declared: Callable[[], tuple[Thing, ...]] = tuple,
    ) -> None:
        self._measure_soon, self._declared = measure_soon, declared
        self._declared_wanted: frozenset[str] = frozenset()
        self._marks, self._journal, self._size_of, self._in_trash = marks, journal, size_of, in_trash
        self._levels: dict[str, DiskLevel] = {}
        self._all_once = self._all_declared_once = False

    def sweep(self) -> None:
        """At the next look everything goes that may."""
        self._all_once = self._all_declared_once = True

    def size_of(self, record: LeaseRecord) -> int | None:
        """Bytes that it took when it was measured last."""
        return self._size_of(record)

    def is_unmeasured(self, record: LeaseRecord) -> bool:
        """Whether it is there, and was not measured yet."""
        return self._size_of(record) is None and Path(record.path).is_dir()

    def measure_soon(self) -> None:
        """Something waits for being measured."""
        self._measure_soon()

    def wanted(self, over: tuple[LeaseRecord, ...]) -> frozenset[str]:
        """The ids of those that must go, of these whose runs are over."""
        if self._all_once:
            self._all_once = False
            return frozenset(record.id for record in over)
        chosen: set[str] = set()
        for device, short in self.filesystems(over).items():
            before = self._levels.get(device, DiskLevel.OK)
            chosen |= set(choose(short.room, self._marks, before, short.candidates, short.leaving).ids)
            self._levels[device] = level_of(short.room, self._marks, before)
        self._declared_wanted = frozenset(chosen) - {record.id for record in over}
        return frozenset(chosen) - self._declared_wanted

    def declared_wanted(self) -> frozenset[str]:
        """The ids of what was declared and must go, as the last look of the keeper found; all of it once after a
        sweep."""
        if self._all_declared_once:
            self._all_declared_once = False
            return frozenset(thing.id for thing in self._declared())
        return self._declared_wanted

    def filesystems(self, over: tuple[LeaseRecord, ...]) -> dict[str, Short]:
        """As mounts name them. One that cannot be looked at asks for nothing."""
        out: dict[str, Short] = {}
        which = WhichFilesystem()
        for path, number, candidate in (*self._of_workspaces(over), *self._of_declared()):
            device = which.of(path, number)
            found = out.get(device)
            if found is None:
                try:
                    room = room_at(path)
                except OSError:
                    continue
                found = Short(room=room, candidates=(), leaving=self._leaving(device, which))
            out[device] = msgspec.structs.replace(found, candidates=(*found.candidates, candidate))
        return out

    def _of_workspaces(self, over: tuple[LeaseRecord, ...]) -> Iterator[tuple[Path, int, Candidate]]:
        for record in over:
            size, dead = self._size_of(record), record.dead_up_s or 0.0
            candidate = Candidate(id=record.id, bytes=size, dead_up_s=dead, failed=record.failed)
            yield Path(record.path), record.device, candidate

    def _of_declared(self) -> Iterator[tuple[Path, int, Candidate]]:
        for thing in self._declared():
            candidate = Candidate(
                id=thing.id, bytes=thing.bytes, dead_up_s=thing.used_at, failed=False, rank=thing.rank
            )
            yield thing.path, thing.identity[0], candidate

    def _leaving(self, device: str, which: WhichFilesystem) -> Leaving:
        sizes = {one.trash_name: one.deletion.bytes for one in self._journal.entries() if one.stage is Stage.MOVED}
        total, unsure = 0, False
        for path in self._in_trash():
            try:
                here = which.of(path, path.lstat().st_dev) == device
            except OSError:
                continue
            size = sizes.get(path.name)
            if here and size is None:
                unsure = True
            elif here and size is not None:
                total += size
        return Leaving(bytes=total, unsure=unsure)
