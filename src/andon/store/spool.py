"""Deliveries on disk while the database is slow or away: acknowledged only once they are durable,
and handed to the store later, once per GUID (R1).

A folder of segments. A segment is written by one process, which holds its lock; what waits when the
disk is free is made durable by one fsync. A record that was cut off by a crash was never
acknowledged, and ends its segment.
"""

import asyncio
import contextlib
import fcntl
import os
import struct
import zlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from andon.runtime.batches import Batches, Waiting
from andon.runtime.errors import AndonError
from andon.runtime.files import write_atomically
from andon.runtime.ids import Ids
from andon.store.deliveries import Received

MAX_BYTES = 2 * 1024**3
"""Most that may wait: half a minute of 3,000 deliveries a second is 1 GB."""
MAX_GROUP = 256
SEGMENT_BYTES = 64 * 1024**2
"""A segment that has grown to this is ended: a whole one is read at once."""
_HEAD = struct.Struct(">II")
"""Before each record: its length in bytes and its CRC-32."""
_SUFFIX = ".segment"


class SpoolFull(AndonError):
    """More deliveries wait for the database than the spool may hold."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Received).decode


def record(delivery: Received) -> bytes:
    """A delivery as it lies in a segment."""
    return framed(_encode(delivery))


class Segment:
    """A segment that this process drains: nobody else may, until it is let go."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    def read(self) -> "Contents":
        """What is in it."""
        return contents(self.path.read_bytes())

    def remove(self) -> None:
        """Takes it away, while nobody else can hold it."""
        self.path.unlink(missing_ok=True)

    def let_go(self) -> None:
        """Lets others have it."""
        os.close(self._handle)


class Spool:
    """One process' way into the folder; several may share it."""

    def __init__(self, folder: Path, ids: Ids, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._ids, self._max_bytes = folder, ids, max_bytes
        self._segment: int | None = None
        self._path = folder
        self._mine: dict[Path, int] = {}
        """Segments of this process that are not in the database yet, and their bytes."""
        self._others = bool(_segments(folder))
        """Whether segments of others may lie there without a holder."""
        self._under_way = 0
        self._batches: Batches[bytes | None] = Batches("spool", self._append, most=MAX_GROUP)

    @property
    def waiting(self) -> bool:
        """Whether anything here waits for the database."""
        return bool(self._under_way or self._mine or self._others)

    def look_around(self) -> None:
        """Looks for segments that a process left which is gone."""
        self._others = any(path not in self._mine for path in _segments(self._folder))

    async def keep(self, delivery: Received) -> None:
        """Returns once the delivery is durable. Raises SpoolFull, OSError."""
        self._under_way += 1
        try:
            await asyncio.wrap_future(self._batches.hand_in(_encode(delivery)))
        finally:
            self._under_way -= 1

    @contextlib.asynccontextmanager
    async def oldest(self, leave: set[Path]) -> AsyncGenerator[Segment | None]:
        """The oldest segment that nobody holds, but those in `leave`; None when there is none.

        Ours is ended first, so that it can be drained; those of processes that live are theirs.
        """
        await asyncio.wrap_future(self._batches.hand_in(None))
        segment = await asyncio.to_thread(self._take_oldest, leave)
        if segment is None:
            self._others = False
            yield None
            return
        try:
            yield segment
        finally:
            segment.let_go()
            if not segment.path.exists():
                self._mine.pop(segment.path, None)

    async def put_aside(self, record: bytes) -> None:
        """Keeps bytes that are of no use to the database, for people to look at."""
        path = self._folder / f"{self._ids.new('spl')}.refused"
        await asyncio.to_thread(write_atomically, path, record, mode=0o600)

    def close(self) -> None:
        """Writes what waits; the segments stay for the next process."""
        self._batches.close()
        self._end_segment()

    def _append(self, batch: list[Waiting[bytes | None]]) -> None:
        wanted: list[Waiting[bytes | None]] = []
        for each in batch:
            if each.item is not None:
                wanted.append(each)
                continue
            self._write(wanted)
            wanted = []
            self._end_segment()
            each.done.set_result(None)
        self._write(wanted)

    def _write(self, wanted: Sequence[Waiting[bytes | None]]) -> None:
        if not wanted:
            return
        data = b"".join(framed(each.item or b"") for each in wanted)
        held = sum(list(self._mine.values()))
        if held + len(data) > self._max_bytes:
            raise SpoolFull(f"{self._folder}: {held} bytes wait for the database, and no more may.")
        if self._segment is None:
            self._segment = self._begin_segment()
        start = os.lseek(self._segment, 0, os.SEEK_END)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._segment, view) :]
            os.fsync(self._segment)
        except OSError:
            # Half a record would end the segment for its readers; after a failed fsync nothing is sure.
            with contextlib.suppress(OSError):
                os.ftruncate(self._segment, start)
            self._end_segment()
            raise
        self._mine[self._path] = start + len(data)
        for each in wanted:
            each.done.set_result(None)
        if start + len(data) >= SEGMENT_BYTES:
            self._end_segment()

    def _begin_segment(self) -> int:
        """A segment that is locked before anybody can see it by its name."""
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(self._folder.parent)
        name = self._ids.new("spl")
        unseen = self._folder / f"{name}.new"
        segment = os.open(unseen, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(segment, fcntl.LOCK_EX)
            self._path = unseen.rename(self._folder / f"{name}{_SUFFIX}")
            _sync_folder(self._folder)
        except OSError:
            os.close(segment)
            unseen.unlink(missing_ok=True)
            raise
        return segment

    def _end_segment(self) -> None:
        if self._segment is not None:
            os.close(self._segment)
            self._segment = None

    def _take_oldest(self, leave: set[Path]) -> Segment | None:
        for path in _segments(self._folder):
            if path in leave:
                continue
            try:
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            if os.fstat(handle).st_nlink == 0:
                # Somebody drained it between our two steps.
                os.close(handle)
                continue
            return Segment(path, handle)
        return None


class Contents(NamedTuple):
    """A segment taken apart."""

    deliveries: list[Received]
    refused: list[bytes]
    """Records that are whole and that this version does not understand, as they lay there."""
    rest: bytes
    """What follows the last whole record: what a crash cut off, or a disk spoilt."""


def contents(data: bytes) -> Contents:
    """The whole records of a segment, and what is left."""
    found: list[Received] = []
    refused: list[bytes] = []
    at = 0
    while at + _HEAD.size <= len(data):
        length, check = _HEAD.unpack_from(data, at)
        record = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(record) < length or zlib.crc32(record) != check:
            break
        try:
            found.append(_decode(record))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            refused.append(framed(record))
        at += _HEAD.size + length
    return Contents(found, refused, data[at:])


def framed(record: bytes) -> bytes:
    """A record as it lies in a segment."""
    return _HEAD.pack(len(record), zlib.crc32(record)) + record


def _segments(folder: Path) -> list[Path]:
    """Oldest first: their names are made to sort."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
