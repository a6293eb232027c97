"""The deletion journal: what went, who took it, why, and how many bytes it was (R49, incidents.md P9).

An entry is written before the rename and settled after it, into a file on tmpfs whose room was taken beforehand: a
full disk stops neither, and a SIGKILL in between leaves an entry that says what to look for. When all places are
taken, the oldest settled entry makes room. What is forgotten here stands in the history (`history.py`).
"""

import os
import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from andon.agent.checked_record import cut_text, decode_record, encode_record, head_bytes
from andon.agent.disk.history import History
from andon.model.disk import Deletion
from andon.runtime.logging import Logger

RECORD_BYTES = 2048
RECORDS = 512
AT_ONCE = 100
"""Deletions that one sync carries."""
_KIND = "deletion"
_MOST = {"path": 900, "reason": 300, "actor": 60, "lease": 220}
"""Bytes of JSON that each text keeps."""


class JournalUnusable(OSError):
    """Nothing can be written down, so nothing may be deleted."""


class Stage(StrEnum):
    """How far a deletion came."""

    INTENDED = "intended"
    """Written down; the rename may have happened or not."""
    MOVED = "moved"
    """In the trash: it can still be put back."""
    DELETED = "deleted"
    TAKEN_BACK = "taken_back"
    """It never happened."""
    SEEN = "seen"
    """Not ours: somebody else deleted it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One deletion, as far as it came."""

    deletion: Deletion
    stage: Stage
    trash_name: str = ""
    """Its name in a trash of ours."""


class DeletionJournal:
    """The journal in the file `path`, or in `instead` where there is no room for it: a tmpfs may be small, and then
    whatever can be had is better than to delete nothing. May be called from threads. `history` keeps what is forgotten.
    """

    def __init__(
        self, path: Path, history: History, log: Logger, *, instead: Path | None = None, records: int = RECORDS
    ) -> None:
        self._path, self._instead, self._history = path, instead, history
        self._log, self._records = log, records
        self._lock = threading.Lock()
        self._sequence = 0
        self._free = deque(range(records))
        """Places in the file that hold nothing that counts."""
        self._entries: dict[str, Entry] = {}
        self._places: dict[str, int] = {}
        """Where the last word on each deletion stands."""
        self._unheard: dict[str, None] = {}
        self._untold = 0
        self._file: int | None = None
        self._refused = ""
        self._open()

    def begin(self, deletion: Deletion, trash_name: str) -> None:
        """Writes down what is about to be renamed. Raises JournalUnusable: then it must not be."""
        self._write(Entry(deletion=deletion, stage=Stage.INTENDED, trash_name=trash_name))
        # tmpfs is empty after a reboot, and the rename may have outlived it.
        self._history.add(deletion, Stage.INTENDED)

    def moved(self, id: str) -> None:
        """The rename happened."""
        self._settle(id, Stage.MOVED)

    def taken_back(self, id: str) -> None:
        """It did not."""
        self._settle(id, Stage.TAKEN_BACK)

    def emptied(self, trash_name: str, size: int | None) -> None:
        """What had this name in the trash is gone from the disk; it took `size` bytes. Other names are none of ours."""
        with self._lock:
            found = next((one for one in self._entries.values() if one.trash_name == trash_name), None)
        if found is not None and found.stage is Stage.MOVED:
            self._settle(found.deletion.id, Stage.DELETED, size)

    def seen(self, deletion: Deletion) -> None:
        """Somebody else's deletion. What cannot be written down is told all the same."""
        entry = Entry(deletion=deletion, stage=Stage.SEEN)
        try:
            self._write(entry)
        except JournalUnusable:
            with self._lock:
                self._keep(entry, None)
        self._history.add(entry.deletion, entry.stage)

    def recover(self, trashed: Collection[str]) -> tuple[Entry, ...]:
        """Settles what an agent left in the middle; `trashed` are the names in all trashes. Returns what it settled."""
        with self._lock:
            open_ = [one for one in self._entries.values() if one.stage is Stage.INTENDED]
        for one in open_:
            self._settle(one.deletion.id, Stage.MOVED if one.trash_name in trashed else Stage.TAKEN_BACK)
        return (*open_, *self._recover_history())

    def _recover_history(self) -> Iterator[Entry]:
        """What a reboot took out of the journal: what stands under its name now says what became of it."""
        last = {line.deletion.id: line for line in self._history.lines()}
        for id, line in last.items():
            if line.stage == Stage.INTENDED and id not in self._entries:
                stage = Stage.TAKEN_BACK if os.path.lexists(line.deletion.path) else Stage.MOVED
                self._history.add(line.deletion, stage)
                yield Entry(deletion=line.deletion, stage=stage)

    def took(self, lease: str) -> bool:
        """Whether the workspace of this lease was taken away by us, or may just have been."""
        with self._lock:
            ours = (Stage.INTENDED, Stage.MOVED, Stage.DELETED)
            return any(one.deletion.lease == lease and one.stage in ours for one in self._entries.values())

    def unheard(self) -> tuple[Deletion, ...]:
        """What the control plane has not acknowledged, oldest first, as much as one sync carries."""
        with self._lock:
            return tuple(self._entries[id].deletion for id in self._unheard)[:AT_ONCE]

    def acknowledge(self, deletions: Iterable[Deletion]) -> None:
        """The control plane has exactly these for good; one that has changed since is told again."""
        with self._lock:
            for each in deletions:
                if each.id in self._unheard and self._entries[each.id].deletion == each:
                    del self._unheard[each.id]

    def entries(self) -> tuple[Entry, ...]:
        """All that the ring holds, oldest first."""
        with self._lock:
            return tuple(self._entries.values())

    def close(self) -> None:
        """The entries stand."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _settle(self, id: str, stage: Stage, size: int | None = None) -> None:
        with self._lock:
            was = self._entries.get(id)
        if was is None:
            return
        deletion = was.deletion if size is None else msgspec.structs.replace(was.deletion, bytes=size)
        entry = msgspec.structs.replace(was, deletion=deletion, stage=stage)
        try:
            self._write(entry)
        except JournalUnusable:
            # The intent stands on tmpfs; what is known here is told, and a restart looks for itself.
            with self._lock:
                self._keep(entry, None)
        self._history.add(entry.deletion, stage)

    def _write(self, entry: Entry) -> None:
        with self._lock:
            file = self._file if self._file is not None else self._open()
            if file is None:
                raise JournalUnusable(f"{self._path}: the deletion journal cannot be written ({self._refused})")
            place = self._free_place()
            content = encode_record(_KIND, self._sequence + 1, _fitting(entry)).ljust(RECORD_BYTES, b"\0")
            try:
                done = os.pwrite(file, content, place * RECORD_BYTES)
            except OSError as error:
                raise JournalUnusable(f"{self._path}: the deletion journal cannot be written ({error})") from error
            if done != RECORD_BYTES:
                raise JournalUnusable(f"{self._path}: only {done} bytes of an entry were written")
            self._sequence += 1
            self._keep(entry, place)

    def _free_place(self) -> int:
        """A place that says nothing new any more, else the oldest settled deletion's; rather of one that was told."""
        if self._free:
            return self._free[0]
        settled = [id for id, one in self._entries.items() if one.stage is not Stage.INTENDED and id in self._places]
        if not settled:
            raise JournalUnusable(f"{self._path}: {self._records} deletions are under way at once")
        oldest = next((id for id in settled if id not in self._unheard), settled[0])
        place = self._places[oldest]
        self._forget(oldest)
        self._free.append(place)
        return place

    def _keep(self, entry: Entry, place: int | None) -> None:
        id = entry.deletion.id
        if place is not None:
            self._free.remove(place)
            if id in self._places:
                # What it said before is out of date from now on.
                self._free.append(self._places[id])
            self._places[id] = place
        self._entries.pop(id, None)
        self._entries[id] = entry
        if entry.stage in (Stage.MOVED, Stage.DELETED, Stage.SEEN):
            self._unheard[id] = None
        else:
            self._unheard.pop(id, None)

    def _forget(self, id: str) -> None:
        self._entries.pop(id, None)
        self._places.pop(id, None)
        if id in self._unheard:
            del self._unheard[id]
            self._untold += 1
            # Of many a few lines are enough: each time that there are twice as many.
            if self._untold & (self._untold - 1) == 0:
                reason = "the journal was full before it could be told"
                self._log.warning("deletion.untold", deletion=id, so_far=self._untold, reason=reason)

    def _open(self) -> int | None:
        for path in (self._path, self._instead):
            file = None if path is None else self._open_at(path)
            if file is not None:
                self._file = file
                return file
        return None

    def _open_at(self, path: Path) -> int | None:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(path, flags, 0o600)
            try:
                os.posix_fallocate(file, 0, self._records * RECORD_BYTES)
                if not self._entries:
                    self._read(file)
            except BaseException:
                os.close(file)
                raise
        except OSError as error:
            if str(error) != self._refused:
                self._refused = str(error)
                self._log.warning("deletion_journal.unusable", path=str(path), reason=str(error))
            return None
        return file

    def _read(self, file: int) -> None:
        found: list[tuple[int, int, Entry]] = []
        for place in range(self._records):
            record = decode_record(_KIND, os.pread(file, RECORD_BYTES, place * RECORD_BYTES))
            if record is None:
                continue
            try:
                found.append((record[0], place, msgspec.json.decode(record[1], type=Entry)))
            except msgspec.MsgspecError:
                # Of a newer version: the next one that comes round takes its place.
                continue
        for sequence, place, entry in sorted(found, key=lambda each: each[0]):
            self._sequence = sequence
            self._keep(entry, place)


def _fitting(entry: Entry) -> bytes:
    """The entry as JSON that fits: paths and reasons of any length are cut, what was seen goes first."""
    room = RECORD_BYTES - head_bytes(_KIND)
    deletion = entry.deletion
    data = msgspec.json.encode(entry)
    while len(data) > room and deletion.evidence:
        deletion = msgspec.structs.replace(deletion, evidence=deletion.evidence[:-1])
        data = msgspec.json.encode(msgspec.structs.replace(entry, deletion=deletion))
    if len(data) > room:
        cut = {name: cut_text(value, most) for name, most in _MOST.items() if (value := getattr(deletion, name))}
        deletion = msgspec.structs.replace(deletion, **cut)
        data = msgspec.json.encode(msgspec.structs.replace(entry, deletion=deletion))
    return data
