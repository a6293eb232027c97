"""Whether a runner's user can reach our scripts: a hook that the runner cannot find fails every job."""

import os
import pwd
import stat
from pathlib import Path


def groups_of(uid: int, gid: int) -> frozenset[int]:
    """All groups of a user, as far as the machine knows them."""
    try:
        return frozenset((gid, *os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)))
    except KeyError:
        return frozenset((gid,))


def owner_of(uid: int) -> str | None:
    """The user's name; None when the machine knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def closed_to(path: Path, uid: int, gid: int) -> Path | None:
    """The first folder above `path` that this user may not enter; None: all that are there are open."""
    if uid == 0:
        return None
    groups = groups_of(uid, gid)
    for folder in reversed(path.parents):
        try:
            seen = folder.stat()
        except FileNotFoundError:
            # It would be made, and open.
            return None
        except OSError:
            return folder
        if not seen.st_mode & _bit(seen, uid, groups):
            return folder
    return None


def _bit(seen: os.stat_result, uid: int, groups: frozenset[int]) -> int:
    """The one bit that decides for this user: the kernel looks at no other."""
    if seen.st_uid == uid:
        return stat.S_IXUSR
    return stat.S_IXGRP if seen.st_gid in groups else stat.S_IXOTH
