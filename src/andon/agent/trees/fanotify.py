"""Asks the kernel who deletes or moves what lies in a few directories: fanotify, with the pid of whoever did it.

Only the marked directories' own entries are told of, never what lies deeper: the cost is that of a few names and not
of a whole build. Needs CAP_SYS_ADMIN, and a filesystem that gives handles; where it cannot be had, OSError says so.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLOEXEC, _NONBLOCK, _REPORT_DIR_FID, _REPORT_NAME = 0x1, 0x2, 0x400, 0x800
_ADD, _REMOVE, _ONLYDIR, _DONT_FOLLOW = 0x1, 0x2, 0x8, 0x4
_DELETE, _MOVED_FROM, _ON_FOLDER = 0x200, 0x40, 0x40000000
_MASK = _DELETE | _MOVED_FROM | _ON_FOLDER
_OVERFLOW = 0x4000
_DFID_NAME = 2
_AT_FDCWD = -100
_HEAD = struct.Struct("=IBBHQii")
_INFO = struct.Struct("=BBH")
_MOST_HANDLE = 128
_BUFFER = 64 * 1024


class Removed(NamedTuple):
    """One name that went out of a marked directory."""

    folder: Path
    name: str
    pid: int
    """0: the kernel would not say, or the process is in a pid namespace that we do not see."""
    moved: bool
    """Renamed away, and not deleted."""


class Fanotify:
    """Watches directories until closed. Raises OSError where the kernel does not let us."""

    def __init__(self) -> None:
        flags = _CLOEXEC | _NONBLOCK | _REPORT_DIR_FID | _REPORT_NAME
        self.file = _checked(_LIBC.fanotify_init(ctypes.c_uint(flags), ctypes.c_uint(os.O_RDONLY | os.O_CLOEXEC)))
        self._folders: dict[bytes, Path] = {}
        self._handles: dict[Path, bytes] = {}

    def watched(self) -> frozenset[Path]:
        """The directories that are marked."""
        return frozenset(self._handles)

    def add(self, folder: Path) -> None:
        """Marks one. Raises OSError."""
        handle = _handle(folder)
        self._mark(_ADD, folder)
        self._folders[handle], self._handles[folder] = folder, handle

    def drop(self, folder: Path) -> None:
        """Marks it no more. One that is gone lost its mark by itself."""
        handle = self._handles.pop(folder, None)
        if handle is not None and self._folders.get(handle) == folder:
            del self._folders[handle]
        try:
            self._mark(_REMOVE, folder)
        except OSError:
            return

    def read(self) -> Iterator[Removed]:
        """What happened since the last call; nothing when nothing did. What overflowed is lost: it is only evidence."""
        while True:
            try:
                content = os.read(self.file, _BUFFER)
            except BlockingIOError:
                return
            yield from self._events(content)

    def close(self) -> None:
        """Watches nothing any more."""
        os.close(self.file)

    def _events(self, content: bytes) -> Iterator[Removed]:
        at = 0
        while at + _HEAD.size <= len(content):
            size, _, _, head, mask, file, pid = _HEAD.unpack_from(content, at)
            if size < _HEAD.size:
                return
            if file >= 0:
                os.close(file)
            if not mask & _OVERFLOW:
                told = self._told(content[at + head : at + size])
                if told is not None:
                    yield Removed(*told, max(pid, 0), bool(mask & _MOVED_FROM))
            at += size

    def _told(self, info: bytes) -> tuple[Path, str] | None:
        at = 0
        while at + _INFO.size <= len(info):
            kind, _, size = _INFO.unpack_from(info, at)
            if size < _INFO.size:
                return None
            if kind == _DFID_NAME:
                # A header, the filesystem's id (8 bytes), a handle (its length, its type, its bytes) and the name.
                start = at + _INFO.size + 8
                (length,) = struct.unpack_from("=I", info, start)
                end = start + 8 + length
                folder = self._folders.get(info[start:end])
                name = info[end : at + size].split(b"\0", 1)[0]
                return None if folder is None else (folder, os.fsdecode(name))
            at += size
        return None

    def _mark(self, act: int, folder: Path) -> None:
        answer = _LIBC.fanotify_mark(
            self.file,
            ctypes.c_uint(act | _ONLYDIR | _DONT_FOLLOW),
            ctypes.c_uint64(_MASK),
            _AT_FDCWD,
            ctypes.c_char_p(os.fsencode(folder)),
        )
        _checked(answer, str(folder))


def _handle(folder: Path) -> bytes:
    """The kernel's own name for it: the length, the type and the bytes of its handle."""
    buffer = ctypes.create_string_buffer(struct.pack("=Ii", _MOST_HANDLE, 0), 8 + _MOST_HANDLE)
    mount = ctypes.c_int()
    name = ctypes.c_char_p(os.fsencode(folder))
    _checked(_LIBC.name_to_handle_at(_AT_FDCWD, name, buffer, ctypes.byref(mount), 0), str(folder))
    (length,) = struct.unpack_from("=I", buffer.raw)
    return buffer.raw[: 8 + length]


def _checked(answer: int, name: str | None = None) -> int:
    if answer < 0:
        number = ctypes.get_errno() or errno.EINVAL
        raise OSError(number, os.strerror(number), name)
    return answer
