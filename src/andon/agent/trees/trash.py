"""Puts a directory aside: one rename into a trash on its filesystem, which takes no time and needs no space.

Exactly the directory that is meant, by device and inode, and never one that something is mounted in: what
is deleted later would be the mounted files (host-facts.md 1.6).
"""

import contextlib
import errno
import os
import stat
from collections.abc import Generator
from pathlib import Path

from andon.agent.leases.mounts import parse_mounts, read_mountinfo
from andon.agent.trees.system_calls import rename_to_new

Identity = tuple[int, int]
"""Device and inode."""


def put_aside(path: Path, identity: Identity, trash: Path, new_name: str) -> str | None:
    """Renames `path` to `trash/new_name`; the sentence that forbids it, or None when it went.

    Raises FileNotFoundError when it is gone already, and OSError when the rename itself fails; then all is as before.
    """
    with _opened(path.parent) as parent, _opened(trash) as bin_:
        if parent is None or _look(path.name, parent) is None:
            raise _gone(path)
        return (
            f"{trash}: the trash is not there." if bin_ is None else move_aside(path, parent, bin_, identity, new_name)
        )


def move_aside(
    path: Path, parent: int, bin_: int, identity: Identity, new_name: str, *, files: bool = False
) -> str | None:
    """The same between two open directories, `path` being a name in `parent`; with `files` also of a plain file."""
    found = _look(path.name, parent)
    if found is None:
        raise _gone(path)
    if forbidden := _forbidden(path, found, identity, files=files):
        return forbidden
    rename_to_new(parent, path.name, bin_, new_name)
    moved = _look(new_name, bin_)
    if moved is not None and _identity(moved) == identity:
        return None
    # Somebody put another one there between the look and the rename: it is not ours to take.
    rename_to_new(bin_, new_name, parent, path.name)
    return "Another directory was put under its name just now."


def _gone(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _forbidden(path: Path, found: os.stat_result, identity: Identity, *, files: bool) -> str | None:
    if not stat.S_ISDIR(found.st_mode) and not (files and stat.S_ISREG(found.st_mode)):
        return "Something that is no directory stands under its name."
    if _identity(found) != identity:
        return "Another directory stands under its name."
    real = os.path.realpath(path)
    for mount in parse_mounts(read_mountinfo("self")):
        if mount.point == real or mount.point.startswith(f"{real}/"):
            return f"Something is mounted there ({mount.point})."
    return None


def _look(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def _opened(folder: Path) -> Generator[int | None]:
    try:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield file
    finally:
        os.close(file)
