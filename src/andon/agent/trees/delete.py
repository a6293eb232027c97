"""Deletes what lies in a trash: by open directories and names only, crossing neither a link nor a mount (R49).

Nothing is remembered between two calls, so one that was broken off, by SIGKILL too, is simply begun again.
What lies too deep is renamed to the top of the trash and deleted from there: depth costs no descriptors.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

from andon.agent.trees.system_calls import make_changeable, open_beneath, rename_to_new

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_DEEPEST = 64
_LOOK_EVERY = 256
_IN_THE_WAY = (errno.EPERM, errno.EACCES)


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be deleted, and why."""

    path: str
    reason: str


class Emptied(msgspec.Struct, frozen=True, kw_only=True):
    """What one call did."""

    removed: int
    """Files, links and directories."""
    remains: tuple[Remains, ...]
    whole: bool
    """False: it was asked to stop before the end."""


class _Stopped(Exception):
    pass


def empty_trash(
    trash: Path,
    *,
    go_on: Callable[[], bool] = lambda: True,
    leave: frozenset[str] = frozenset(),
    gone: Callable[[str, int], None] = lambda name, size: None,
) -> Emptied:
    """Deletes everything in `trash` but the names in `leave`, as far as it can be; blocks, so not on an event loop.

    `go_on` is asked often; once it says no, the rest is left for the next call. `gone` is told of each name that is
    gone as a whole, with the bytes that it took on the disk. Raises OSError when the trash itself cannot be read.
    """
    bin_ = os.open(trash, _FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _Emptying(str(trash), bin_, go_on, gone).run(leave)
    finally:
        os.close(bin_)


class _Emptying:
    def __init__(self, trash: str, bin_: int, go_on: Callable[[], bool], gone: Callable[[str, int], None]) -> None:
        self._trash, self._bin, self._go_on, self._gone = trash, bin_, go_on, gone
        self._bytes = 0
        self._removed = self._steps = self._lifted = 0
        self._remains: list[Remains] = []
        self._stay: set[str] = set()
        """Names at the top of the trash that keep something."""

    def run(self, leave: frozenset[str]) -> Emptied:
        whole = True
        try:
            # Again while there is something new: what was too deep comes up beside the others.
            while names := [name for name in os.listdir(self._bin) if name not in self._stay and name not in leave]:  # noqa: PTH208
                for name in names:
                    before = self._bytes
                    if self._remove(self._bin, name, f"{self._trash}/{name}", 0):
                        self._gone(name, self._bytes - before)
                    else:
                        self._stay.add(name)
        except _Stopped:
            whole = False
        return Emptied(removed=self._removed, remains=tuple(self._remains), whole=whole)

    def _remove(self, folder: int, name: str, path: str, depth: int) -> bool:
        """Whether nothing of it is left."""
        self._steps += 1
        if self._steps % _LOOK_EVERY == 0 and not self._go_on():
            raise _Stopped
        size = _size(folder, name)
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return True
        except IsADirectoryError:
            return self._remove_folder(folder, name, path, depth)
        except OSError as error:
            # As POSIX has it, a directory may be refused with EPERM; so is what is immutable.
            if error.errno in _IN_THE_WAY and self._is_folder(folder, name):
                return self._remove_folder(folder, name, path, depth)
            return self._again(folder, name, path, error, self._unlink)
        self._removed += 1
        self._bytes += size
        return True

    def _remove_folder(self, parent: int, name: str, path: str, depth: int) -> bool:
        if depth >= _DEEPEST:
            return self._lift(parent, name, path)
        try:
            folder = self._open(parent, name)
        except FileNotFoundError:
            return True
        except OSError as error:
            return self._keep(path, _why(error))
        try:
            empty = self._empty(folder, path, depth)
        finally:
            os.close(folder)
        if not empty:
            return False
        try:
            os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            return True
        except OSError as error:
            return self._again(parent, name, path, error, self._rmdir)
        self._removed += 1
        return True

    def _empty(self, folder: int, path: str, depth: int) -> bool:
        kept: set[str] = set()
        while True:
            # In portions: a directory may hold a million names. Deleting while reading may skip some.
            with os.scandir(folder) as entries:
                names = [entry.name for _, entry in zip(range(4096), entries, strict=False) if entry.name not in kept]
                more = next(entries, None) is not None
            for name in names:
                if not self._remove(folder, name, f"{path}/{name}", depth + 1):
                    kept.add(name)
            if not names and not more:
                return not kept
            if not names and more:
                return self._empty_the_rest(folder, path, depth, kept)

    def _empty_the_rest(self, folder: int, path: str, depth: int, kept: set[str]) -> bool:
        """Where thousands stay, reading in portions would never come to the others."""
        for name in os.listdir(folder):
            if name not in kept and not self._remove(folder, name, f"{path}/{name}", depth + 1):
                kept.add(name)
        return not kept

    def _lift(self, parent: int, name: str, path: str) -> bool:
        """To the top of the trash, under a name that is free."""
        while True:
            self._lifted += 1
            try:
                rename_to_new(parent, name, self._bin, f".deep-{self._lifted}")
                return True
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno in _IN_THE_WAY and self._loosen(parent, name):
                    self._lifted -= 1
                    continue
                return self._keep(path, _why(error))

    def _open(self, parent: int, name: str) -> int:
        try:
            folder = open_beneath(parent, name, _FOLDER | os.O_NOFOLLOW)
        except PermissionError:
            if not self._loosen(parent, name):
                raise
            folder = open_beneath(parent, name, _FOLDER | os.O_NOFOLLOW)
        with contextlib.suppress(OSError):
            # A read-only directory of our own user lets nothing go.
            if os.fstat(folder).st_mode & 0o700 != 0o700:
                os.fchmod(folder, 0o700)
        return folder

    def _again(self, folder: int, name: str, path: str, error: OSError, act: Callable[[int, str], None]) -> bool:
        """Once more without the flags that forbid it, on itself and on its directory."""
        if error.errno not in _IN_THE_WAY:
            return self._keep(path, _why(error))
        loosened = self._loosen(folder, name)
        with contextlib.suppress(OSError):
            loosened = make_changeable(folder) or loosened
        if loosened:
            try:
                act(folder, name)
            except OSError as second:
                return self._keep(path, _why(second))
            self._removed += 1
            return True
        return self._keep(path, _why(error))

    def _loosen(self, folder: int, name: str) -> bool:
        """Takes off what may forbid a change of this one: its flags, a directory's mode. Nothing outside the trash."""
        changed = False
        with contextlib.suppress(OSError):
            handle = open_beneath(folder, name, os.O_PATH | os.O_NOFOLLOW)
            try:
                if self._is_folder(folder, name):
                    os.chmod(f"/proc/self/fd/{handle}", 0o700)  # noqa: PTH101
                    changed = True
            finally:
                os.close(handle)
        with contextlib.suppress(OSError):
            file = open_beneath(folder, name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                found = os.fstat(file)
                # A file with another name outside is not only ours to change.
                if stat.S_ISDIR(found.st_mode) or found.st_nlink == 1:
                    changed = make_changeable(file) or changed
            finally:
                os.close(file)
        return changed

    def _is_folder(self, folder: int, name: str) -> bool:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode)

    def _unlink(self, folder: int, name: str) -> None:
        os.unlink(name, dir_fd=folder)

    def _rmdir(self, folder: int, name: str) -> None:
        os.rmdir(name, dir_fd=folder)

    def _keep(self, path: str, reason: str) -> bool:
        self._remains.append(Remains(path=path, reason=reason))
        return False


def _size(folder: int, name: str) -> int:
    """Bytes on the disk that go with this name; 0 while the file has another one."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return 0
    return found.st_blocks * 512 if found.st_nlink == 1 and not stat.S_ISDIR(found.st_mode) else 0


def _why(error: OSError) -> str:
    if error.errno in (errno.EXDEV, errno.EBUSY):
        return "Something is mounted there."
    return f"It cannot be deleted ({error.strerror})."
