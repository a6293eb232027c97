"""Files for leases to come, their room taken beforehand: a lease needs neither a block nor an inode.

On a full tmpfs nothing can be created, while a rename and a write into a file that has its room still
work (host-facts.md 1.6). So a new lease is a spare file under a new name.
"""

import os
from pathlib import Path

from andon.agent.leases.records import FILE_BYTES


class NoSpare(OSError):
    """No spare is left, and the filesystem has no room for another."""


class Spares:
    """A stock of `wanted` files below `folder`. One process at a time."""

    def __init__(self, folder: Path, wanted: int) -> None:
        self._folder, self._wanted = folder, wanted
        self._next = 0
        self._names: list[str] = []
        for name in sorted(path.name for path in folder.iterdir()):
            # Those that were made in part are completed by this, or go.
            if self._has_room(name):
                self._names.append(name)

    def __len__(self) -> int:
        return len(self._names)

    def refill(self) -> bool:
        """Makes as many as are wanted; False when there is no room for all of them."""
        self._names = [name for name in self._names if (self._folder / name).exists()]
        return all(self._add() for _ in range(self._wanted - len(self._names)))

    def take(self) -> tuple[int, Path]:
        """A descriptor and the path of a spare, which is the caller's from now on. Raises NoSpare."""
        while self._names or self._add():
            path = self._folder / self._names.pop()
            try:
                return os.open(path, os.O_RDWR | os.O_CLOEXEC), path
            except FileNotFoundError:
                # Somebody cleaned up here; the next may be there still.
                continue
        raise NoSpare(f"{self._folder}: no room for one more lease and no spare left")

    def give_back(self, path: Path) -> None:
        """A spare that was taken and never got its new name."""
        self._names.append(path.name)

    def _add(self) -> bool:
        while True:
            self._next += 1
            name = f"spare-{self._next}"
            try:
                os.close(os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                break
            except FileExistsError:
                continue
            except OSError:
                return False
        if self._has_room(name):
            self._names.append(name)
            return True
        return False

    def _has_room(self, name: str) -> bool:
        path = self._folder / name
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            os.posix_fallocate(file, 0, FILE_BYTES)
        except OSError:
            path.unlink()
            return False
        finally:
            os.close(file)
        return True
