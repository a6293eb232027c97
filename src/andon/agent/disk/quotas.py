"""A quota of each workspace's own, where the kernel gives it for free: btrfs with simple quotas (host-facts.md 2.5).

They are used where the owner of the filesystem has switched them on (`btrfs quota enable --simple`), and a probe showed
that they hold: a workspace is then a subvolume, its bytes are read instead of counted, and a job that takes the room of
others is held back by the kernel. Elsewhere nothing of this happens, and nothing is different.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Generator
from hashlib import sha256
from pathlib import Path

from andon.agent.trees.btrfs import ROOT_INODE, filesystem_id, limit, make_subvolume, subvolume_of
from andon.runtime.logging import Logger

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SYSFS = Path("/sys/fs/btrfs")
_PROBE = ".partial-quota-probe"
_PROBED_BYTES = 4 << 20


class Quotas:
    """What the filesystem of one folder gives. It says of itself nothing until it was probed."""

    def __init__(self, folder: Path, log: Logger, sysfs: Path = _SYSFS) -> None:
        self._folder, self._log, self._sysfs = folder, log, sysfs
        self.held = False
        """Whether a probe showed that they hold."""

    def probe(self) -> bool:
        """By doing: a subvolume that may have 4 MiB must refuse the fifth. Blocks for some milliseconds."""
        self.held = False
        try:
            base = os.open(self._folder, _OPEN)
        except OSError:
            return False
        try:
            self._clear(base)
            if self._is_simple(base):
                make_subvolume(base, _PROBE)
                self.held = self._refuses(base)
        except OSError as error:
            self._log.info("quotas.absent", folder=str(self._folder), reason=str(error))
        finally:
            with contextlib.suppress(OSError):
                self._clear(base)
            os.close(base)
        if self.held:
            self._log.info("quotas.hold", folder=str(self._folder))
        return self.held

    def _is_simple(self, base: int) -> bool:
        try:
            qgroups = self._sysfs / filesystem_id(base) / "qgroups"
            return (qgroups / "mode").read_text().strip() == "squota"
        except OSError:
            # Another filesystem, an older kernel, or none switched on.
            return False

    def _refuses(self, base: int) -> bool:
        top = os.open(_PROBE, _OPEN, dir_fd=base)
        try:
            limit(top, subvolume_of(top), _PROBED_BYTES)
            file = os.open("out", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=top)
            try:
                # Not zeros, which compression would make nothing of.
                for number in range(2 * _PROBED_BYTES >> 20):
                    os.write(file, sha256(str(number).encode()).digest() * (1 << 15))
                os.fsync(file)
            except OSError as error:
                return error.errno == errno.EDQUOT
            finally:
                os.close(file)
        finally:
            os.close(top)
        return False

    def _clear(self, base: int) -> None:
        """One that an agent that was ended has left, too."""
        with contextlib.suppress(FileNotFoundError):
            top = os.open(_PROBE, _OPEN, dir_fd=base)
            try:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink("out", dir_fd=top)
            finally:
                os.close(top)
            os.rmdir(_PROBE, dir_fd=base)

    def written(self, path: Path) -> int | None:
        """Bytes that the workspace at `path` is charged with; None: it has no quota of its own, or is gone."""
        if not self.held:
            return None
        try:
            with _subvolume(path) as (top, number):
                text = (self._sysfs / filesystem_id(top) / "qgroups" / f"0_{number}" / "referenced").read_text()
            return int(text)
        except (OSError, ValueError):
            return None

    def hold(self, path: Path, most: int | None) -> bool:
        """From now on the workspace may have so many bytes; None: no bound. Whether it is so."""
        if not self.held:
            return False
        try:
            with _subvolume(path) as (top, number):
                limit(top, number, most)
        except OSError:
            return False
        return True


@contextlib.contextmanager
def _subvolume(path: Path) -> Generator[tuple[int, int]]:
    """Open, with its number. Raises OSError, too when it is not the top of a subvolume."""
    top = os.open(path, _OPEN)
    try:
        if os.fstat(top).st_ino != ROOT_INODE or not stat.S_ISDIR(os.fstat(top).st_mode):
            raise OSError(errno.EINVAL, "no subvolume of its own", str(path))
        yield top, subvolume_of(top)
    finally:
        os.close(top)
