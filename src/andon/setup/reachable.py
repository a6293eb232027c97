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
