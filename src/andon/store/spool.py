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
from collections.abc import Iterator, Sequence
from pathlib import Path

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


class Spool:
    """One process' way into the folder."""

    def __init__(self, folder: Path, ids: Ids, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._ids, self._max_bytes = folder, ids, max_bytes
        self._segment: int | None = None
        self._known: dict[Path, int] = {path: path.stat().st_size for path in _segments(folder)}
        """Segments that are not in the database yet, and their bytes."""
        self._path = folder
        self._under_way = 0
        self._batches: Batches[bytes | None] = Batches("spool", self._append, most=MAX_GROUP)

    @property
    def waiting(self) -> bool:
        """Whether anything waits for the database: then what comes next waits behind it."""
        return bool(self._under_way or self._known)

    async def keep(self, delivery: Received) -> None:
        """Returns once the delivery is durable. Raises SpoolFull, OSError."""
        self._under_way += 1
        try:
            await asyncio.wrap_future(self._batches.hand_in(_encode(delivery)))
        finally:
            self._under_way -= 1

    async def segments(self) -> list[Path]:
        """What is to be drained, oldest first: nobody writes to these any more.

        Ours is ended first; segments of processes that live are left to them.
        """
        await asyncio.wrap_future(self._batches.hand_in(None))
        return await asyncio.to_thread(self._unheld)

    async def read(self, path: Path) -> list[Received]:
        """The whole records of a segment."""
        return await asyncio.to_thread(lambda: list(records(path.read_bytes())))

    async def drop(self, path: Path) -> None:
        """Removes a segment whose deliveries are all in the database."""
        await asyncio.to_thread(path.unlink)
        self._known.pop(path, None)

    async def put_aside(self, delivery: Received) -> None:
        """Keeps a delivery that the database will not take, for people to look at."""
        path = self._folder / f"{self._ids.new('spl')}.refused"
        await asyncio.to_thread(write_atomically, path, _framed(_encode(delivery)), mode=0o600)

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
        data = b"".join(_framed(each.item or b"") for each in wanted)
        held = sum(self._known.values())
        if held + len(data) > self._max_bytes:
            raise SpoolFull(f"{self._folder}: {held} bytes wait for the database, and no more may.")
        if self._segment is None:
            self._begin_segment()
        assert self._segment is not None
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
        self._known[self._path] = start + len(data)
        for each in wanted:
            each.done.set_result(None)
        if start + len(data) >= SEGMENT_BYTES:
            self._end_segment()

    def _begin_segment(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = self._folder / f"{self._ids.new('spl')}{_SUFFIX}"
        segment = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(segment, fcntl.LOCK_EX)
        self._segment = segment
        _sync_folder(self._folder)

    def _end_segment(self) -> None:
        if self._segment is not None:
            os.close(self._segment)
            self._segment = None

    def _unheld(self) -> list[Path]:
        free: list[Path] = []
        for path in _segments(self._folder):
            with contextlib.suppress(FileNotFoundError):
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._known[path] = os.fstat(handle).st_size
                    free.append(path)
                except BlockingIOError:
                    pass
                finally:
                    os.close(handle)
        return free


def records(data: bytes) -> Iterator[Received]:
    """The whole records of a segment; what a crash cut off, and all after it, is left out."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, check = _HEAD.unpack_from(data, at)
        record = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(record) < length or zlib.crc32(record) != check:
            return
        yield _decode(record)
        at += _HEAD.size + length


def _framed(record: bytes) -> bytes:
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
