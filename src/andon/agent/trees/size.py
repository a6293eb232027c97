"""How many bytes a tree takes on the disk, without leaving it: by open directories, over no link and no mount."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from andon.agent.trees.system_calls import open_beneath

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_DEEPEST = 200
_BLOCK = 512


class Broken(Exception):
    """It was asked to stop before the end."""


def tree_size(path: Path, *, go_on: Callable[[], bool] = lambda: True) -> int:
    """Bytes of `path` with all that lies below it; blocks, so not on an event loop.

    A file with several names counts once. What shares its blocks with others (reflinks) counts whole: what becomes
    free is told by the filesystem alone (host-facts.md 2.3). What cannot be read does not count. `go_on` is asked
    for each directory. Raises OSError where `path` cannot be opened, and Broken.
    """
    itself = path.lstat()
    if not stat.S_ISDIR(itself.st_mode):
        return itself.st_blocks * _BLOCK
    top = os.open(path, _FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.fstat(top).st_blocks * _BLOCK + _Sum(go_on).of(top, 0)
    finally:
        os.close(top)


class _Sum:
    def __init__(self, go_on: Callable[[], bool]) -> None:
        self._go_on = go_on
        self._seen: set[tuple[int, int]] = set()

    def of(self, folder: int, depth: int) -> int:
        if not self._go_on():
            raise Broken
        total = 0
        below: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if not stat.S_ISDIR(found.st_mode) and found.st_nlink > 1:
                    if (found.st_dev, found.st_ino) in self._seen:
                        continue
                    self._seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * _BLOCK
                if stat.S_ISDIR(found.st_mode) and depth < _DEEPEST:
                    below.append(entry.name)
        for name in below:
            total += self._below(folder, name, depth)
        return total

    def _below(self, folder: int, name: str, depth: int) -> int:
        try:
            inner = open_beneath(folder, name, _FOLDER | os.O_NOFOLLOW)
        except OSError:
            return 0
        try:
            return self.of(inner, depth + 1)
        except OSError:
            return 0
        finally:
            os.close(inner)
