"""Calls of the kernel that Python has no name for, one function each; all of them raise OSError."""

import ctypes
import errno
import fcntl
import os
import platform
import struct

_LIBC = ctypes.CDLL(None, use_errno=True)
_OPENAT2 = 437
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}.get(platform.machine())
_RENAME_NOREPLACE = 1
_AT_ONCE = {"no_xdev": 0x01, "no_magiclinks": 0x02, "no_symlinks": 0x04, "beneath": 0x08}
_RESOLVE = sum(_AT_ONCE.values())
_IDLE = (3 << 13) | 7
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
_IMMUTABLE, _APPEND_ONLY = 0x10, 0x20


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _checked(answer: int, name: str | None = None) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return answer


def open_beneath(folder: int, name: str, flags: int) -> int:
    """openat2: opens `name` below the open `folder`, crossing neither a link nor a mount, nor going up.

    Raises OSError: EXDEV for a mount or a way out, ELOOP for a link, ENOSYS on a kernel before 5.6.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE)
    path = ctypes.c_char_p(os.fsencode(name))
    return _checked(_LIBC.syscall(_OPENAT2, folder, path, ctypes.byref(how), ctypes.sizeof(how)), name)


def open_without_links(path: str, flags: int) -> int:
    """openat2: opens an absolute `path`, none of whose parts may be a link. Mounts on the way are as good as folders.

    Raises OSError: ELOOP for a link, ENOSYS on a kernel before 5.6.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _AT_ONCE["no_magiclinks"] | _AT_ONCE["no_symlinks"])
    raw = ctypes.c_char_p(os.fsencode(path))
    return _checked(_LIBC.syscall(_OPENAT2, _AT_FDCWD, raw, ctypes.byref(how), ctypes.sizeof(how)), path)


def give_open(handle: int, uid: int, gid: int) -> None:
    """fchownat: what the open `handle` (O_PATH will do) stands for, a link itself too, becomes this user's.

    The kernel takes a file's setuid, setgid and capabilities off with it.
    """
    _checked(_LIBC.fchownat(handle, ctypes.c_char_p(b""), uid, gid, _AT_EMPTY_PATH))


def rename_to_new(source: int, name: str, target: int, new_name: str) -> None:
    """renameat2 with RENAME_NOREPLACE: never over something that is there. EEXIST when it is."""
    old, new = os.fsencode(name), os.fsencode(new_name)
    _checked(_LIBC.renameat2(source, ctypes.c_char_p(old), target, ctypes.c_char_p(new), _RENAME_NOREPLACE), name)


def sync_filesystem(file: int) -> None:
    """syncfs: what was changed on the filesystem of this open file is written, and on that one only."""
    _checked(_LIBC.syncfs(file))


def use_idle_disk_time() -> None:
    """ioprio_set: from now on this thread's reading and writing gives way to everybody else's."""
    if _IOPRIO_SET is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    _checked(_LIBC.syscall(_IOPRIO_SET, 1, 0, _IDLE))


def make_changeable(file: int) -> bool:
    """Takes the flags "immutable" and "append only" off an open file; says whether one was there."""
    flags = struct.unpack("=L", fcntl.ioctl(file, _GET_FLAGS, b"\0" * 8)[:4])[0]
    if not flags & (_IMMUTABLE | _APPEND_ONLY):
        return False
    fcntl.ioctl(file, _SET_FLAGS, struct.pack("=LL", flags & ~(_IMMUTABLE | _APPEND_ONLY), 0))
    return True
