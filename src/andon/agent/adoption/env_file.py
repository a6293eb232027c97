"""Reads and replaces a runner's `.env` through its folder's descriptor: in one step, or not at all.

The folder belongs to the runner's user, whose jobs can write there; so no link is followed, and
nothing but a plain file with one name is read or replaced.
"""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from andon.agent.adoption.env_lines import check_encoding
from andon.runtime.errors import Refused

NAME = ".env"
_NEW = ".env.andon-new"
"""One fixed name: what an ended command left is replaced or taken away by the next one."""
_LARGEST = 1024 * 1024


class EnvFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file as it stands. `content` None: there is none; then mode and owner are those that a new one gets."""

    content: bytes | None
    mode: int
    uid: int
    gid: int


@contextmanager
def opened_folder(folder: Path) -> Generator[int]:
    """The folder's descriptor. Raises OSError."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def read_plain(folder: int, name: str, *, largest: int) -> tuple[bytes, os.stat_result] | None:
    """A plain file's content, without following a link; None when there is no file of that name.

    Raises Refused, with a sentence that begins after the folder's name, for anything else.
    """
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        seen = _lstat(folder, name)
        if seen is not None and stat.S_ISLNK(seen.st_mode):
            raise Refused(f"its {name} is a symbolic link. Put the file itself there.") from None
        raise Refused(f"its {name} cannot be read ({error.strerror}). Mend its owner and mode.") from None
    seen = os.fstat(file)
    if not stat.S_ISREG(seen.st_mode):
        os.close(file)
        raise Refused(f"its {name} is no plain file. Put the runner's own file there.")
    with os.fdopen(file, "rb") as stream:
        content = stream.read(largest + 1)
    if len(content) > largest:
        raise Refused(f"its {name} is larger than {largest // 1024} KiB. Is it the runner's own file?")
    return content, seen


def _lstat(folder: int, name: str) -> os.stat_result | None:
    with suppress(OSError):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    return None


def read_env(folder: int) -> EnvFile:
    """The `.env` of the folder. Raises Refused for one that cannot be edited safely."""
    found = read_plain(folder, NAME, largest=_LARGEST)
    if found is None:
        home = os.fstat(folder)
        return EnvFile(content=None, mode=0o644, uid=home.st_uid, gid=home.st_gid)
    content, seen = found
    if seen.st_nlink > 1:
        raise Refused("its .env has another name elsewhere (a hard link). Put a file of its own there.")
    check_encoding(content)
    return EnvFile(content=content, mode=stat.S_IMODE(seen.st_mode), uid=seen.st_uid, gid=seen.st_gid)


def clear_left(folder: int) -> None:
    """Takes away what a command that was ended in `replace_env` left. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(_NEW, dir_fd=folder)


def replace_env(folder: int, old: EnvFile, content: bytes | None) -> None:
    """Puts `content` in the place of `old`, with its mode and owner; None: no file. Raises OSError."""
    if content is None:
        with suppress(FileNotFoundError):
            os.unlink(NAME, dir_fd=folder)
        os.fsync(folder)
        return
    clear_left(folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(_NEW, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            # The owner first: giving a file away takes special bits of its mode.
            if (os.fstat(file).st_uid, os.fstat(file).st_gid) != (old.uid, old.gid):
                os.fchown(file, old.uid, old.gid)
            os.fchmod(file, old.mode)
            os.fsync(file)
        os.replace(_NEW, NAME, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(_NEW, dir_fd=folder)
        raise
    os.fsync(folder)
