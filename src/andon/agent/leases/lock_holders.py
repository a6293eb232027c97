"""Which processes hold a flock on which file, as the kernel lists them in `/proc/locks`."""

import os
from collections.abc import Mapping
from pathlib import Path

FileId = tuple[int, int]
"""Device and inode of a file, as `stat` says them."""


def lock_holders(text: str | None = None) -> Mapping[FileId, frozenset[int]]:
    """For each locked file the processes that took a flock on it; who only waits for one is left out.

    Holders in pid namespaces that we cannot see are not listed: an empty answer proves nothing, and
    only an exclusive lock does. `text` is for tests. Raises OSError.
    """
    if text is None:
        text = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    out: dict[FileId, frozenset[int]] = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 6 or fields[1] != "FLOCK":
            continue
        major, minor, inode = fields[5].split(":")
        file = (os.makedev(int(major, 16), int(minor, 16)), int(inode))
        out[file] = out.get(file, frozenset()) | {int(fields[4])}
    return out


def others_on(file: FileId) -> frozenset[int]:
    """The processes besides this one that hold a flock on `file`; empty where it cannot be told."""
    try:
        return lock_holders().get(file, frozenset()) - {os.getpid()}
    except OSError:
        return frozenset()
