"""Whether users other than root can reach a path: who may not enter a folder above it finds nothing."""

import stat
from pathlib import Path

ROOT = Path("/")


def closed_folder_above(path: Path, *, within: Path = ROOT) -> Path | None:
    """The first folder above `path`, below `within`, that is there and that not everybody may enter.

    None: all of them are open.
    """
    for parent in reversed(path.parents):
        if not parent.is_relative_to(within) or parent == within:
            continue
        try:
            if not parent.stat().st_mode & stat.S_IXOTH:
                return parent
        except FileNotFoundError:
            # It would be made, and open.
            return None
        except OSError:
            return parent
    return None


def changeable_by_others(path: Path) -> Path | None:
    """What lets somebody else than root change `path`, or put something in its place; None: nothing does.

    `path` itself, a folder above it, or a link on the way: of another owner, or open to be written.
    What is not there yet is not looked at; the folders above it are.
    """
    for place in dict.fromkeys(
        step for end in (path.absolute(), path.resolve()) for step in (*reversed(end.parents), end)
    ):
        try:
            found = place.lstat()
        except OSError:
            continue
        if found.st_uid != 0:
            return place
        if stat.S_ISLNK(found.st_mode):
            continue
        open_to_group = found.st_mode & stat.S_IWGRP and found.st_gid != 0
        # In a folder such as /tmp nobody can move what is root's.
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX and place not in (path, path.resolve())
        if (open_to_group or found.st_mode & stat.S_IWOTH) and not sticky:
            return place
    return None


def owner_above(path: Path, *, within: Path = ROOT) -> tuple[Path, int] | None:
    """The nearest folder above `path`, below `within`, that is there and is not root's, with its owner's uid.

    Its owner could put something else in the place of what lies in it.
    """
    for parent in path.parents:
        if parent == within:
            return None
        try:
            uid = parent.stat().st_uid
        except OSError:
            continue
        if uid != 0:
            return parent, uid
    return None
