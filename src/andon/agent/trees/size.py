"""What a tree takes on the disk, and when it was last used and changed, without leaving it: by open directories, over
no link and no mount."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

from andon.agent.trees.system_calls import open_beneath

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_DEEPEST = 200
_BLOCK = 512


class Broken(Exception):
    """It was asked to stop before the end."""


class TreeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One tree, as one walk found it. Moments are seconds of the day's time, as the filesystem wrote them down."""

    bytes: int
    changed_at: float
    """When anything in it was last changed in any way: nobody can set it back but who sets the clock."""
    used_at: float
    """When a file of it was last read or written, as far as the filesystem keeps the first."""
    whole: bool
    """False: something in it could not be looked at, or is another filesystem's."""


def tree_size(path: Path, *, go_on: Callable[[], bool] = lambda: True) -> int:
    """Bytes of `path` with all that lies below it; see `tree_facts`."""
    return tree_facts(path, go_on=go_on).bytes


def tree_facts(path: Path, *, go_on: Callable[[], bool] = lambda: True) -> TreeFacts:
    """Looks at `path` and all that lies below it; blocks, so not on an event loop.

    A file with several names counts once. What shares its blocks with others (reflinks) counts whole: what becomes
    free is told by the filesystem alone (host-facts.md 2.3). What cannot be read does not count. `go_on` is asked
    for each directory. Raises OSError where `path` cannot be opened, and Broken.
    """
    itself, walk = path.lstat(), _Walk(go_on)
    if stat.S_ISDIR(itself.st_mode):
        top = os.open(path, _FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            walk.add(os.fstat(top))
            walk.into(top, 0)
        finally:
            os.close(top)
    else:
        walk.add(itself)
    return TreeFacts(bytes=walk.total, changed_at=walk.changed_at, used_at=walk.used_at, whole=walk.whole)


class _Walk:
    def __init__(self, go_on: Callable[[], bool]) -> None:
        self._go_on = go_on
        self._seen: set[tuple[int, int]] = set()
        self.total, self.changed_at, self.used_at, self.whole = 0, 0.0, 0.0, True

    def add(self, found: os.stat_result) -> None:
        is_folder = stat.S_ISDIR(found.st_mode)
        self.changed_at = max(self.changed_at, found.st_ctime, found.st_mtime)
        # Looking at a directory reads it: only what is in it says when it was used.
        self.used_at = max(self.used_at, found.st_mtime, 0.0 if is_folder else found.st_atime)
        if not is_folder and found.st_nlink > 1:
            if (found.st_dev, found.st_ino) in self._seen:
                return
            self._seen.add((found.st_dev, found.st_ino))
        self.total += found.st_blocks * _BLOCK

    def into(self, folder: int, depth: int) -> None:
        if not self._go_on():
            raise Broken
        below: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:
                    self.whole = False
                    continue
                self.add(found)
                if stat.S_ISDIR(found.st_mode):
                    below.append(entry.name)
        if depth >= _DEEPEST:
            self.whole = self.whole and not below
            return
        for name in below:
            self._below(folder, name, depth)

    def _below(self, folder: int, name: str, depth: int) -> None:
        try:
            inner = open_beneath(folder, name, _FOLDER | os.O_NOFOLLOW)
        except OSError:
            self.whole = False
            return
        try:
            self.into(inner, depth + 1)
        except OSError:
            self.whole = False
        finally:
            os.close(inner)
