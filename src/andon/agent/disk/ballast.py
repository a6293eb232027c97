"""A file that takes room while there is room, so that there is some to give up when there is none (R53).

Measured: it is made in milliseconds and dropped faster (host-facts.md 1.6). What is freed can be used at once on
ext4 and xfs; btrfs shows it only after its transaction, so that is asked for there. xfs shows what an unlinked file
had only when it comes round to that, so the file is cut to nothing first (measured: 0 bytes free after the unlink
alone, and then a GiB could be written all the same).
"""

import contextlib
import os
import stat
from pathlib import Path

from andon.agent.leases.mounts import mount_of
from andon.agent.trees.system_calls import sync_filesystem
from andon.runtime.logging import Logger


class Ballast:
    """The file `path`."""

    def __init__(self, path: Path, log: Logger) -> None:
        self._path, self._log = path, log

    def size(self) -> int:
        """What it takes now; 0: there is none."""
        try:
            return self._path.lstat().st_blocks * 512
        except OSError:
            return 0

    def make(self, size: int) -> None:
        """Takes `size` bytes, whole or not at all. Does nothing where it has them already, or for no size.

        Raises OSError.
        """
        if size <= 0 or self.size() >= size:
            return
        partial = self._path.with_name(f".{self._path.name}")
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, size)
            partial.rename(self._path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)
        self._log.info("ballast.made", path=str(self._path), bytes=size)

    def drop(self) -> int:
        """Gives it up; how many bytes that were. Raises OSError."""
        size = self.size()
        # Half made by an agent that was ended then.
        self._path.with_name(f".{self._path.name}").unlink(missing_ok=True)
        if size == 0:
            return 0
        with contextlib.suppress(OSError):
            self._cut()
        self._path.unlink()
        mount = mount_of(self._path.parent)
        # Elsewhere it would wait for all that jobs have written, and change nothing.
        if mount is not None and mount.kind == "btrfs":
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with contextlib.suppress(OSError):
                    sync_filesystem(folder)
            finally:
                os.close(folder)
        self._log.warning("ballast.dropped", path=str(self._path), bytes=size)
        return size

    def _cut(self) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(file)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                os.ftruncate(file, 0)
        finally:
            os.close(file)
