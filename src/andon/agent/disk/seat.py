"""The seat of this host's one guard: a lock beside the leases, whatever the number of agents here (issue: three guards
in one host are three that clean up at once, P2).

Who has it keeps the ballast. An agent without it looks all the same, closes its own slots and clears what is its own:
nobody else may touch that. The kernel gives the seat free when its holder is gone.
"""

import fcntl
import os
from pathlib import Path

from andon.runtime.logging import Logger


class Seat:
    """The lock on the file `path`, which lies on tmpfs: a full disk must not cost it."""

    def __init__(self, path: Path, log: Logger) -> None:
        self._path, self._log = path, log
        self._file: int | None = None
        self._trouble: str | None = None

    def taken(self) -> bool:
        """Whether it is ours now; tries to take it where it is not."""
        if self._file is not None and not self._is_the_file(self._file):
            # Somebody removed it: another agent may have made and locked a new one.
            self.close()
        if self._file is None:
            try:
                self._file = self._take()
                self._trouble = None
            except OSError as error:
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    self._log.warning("guard.no_seat", path=str(self._path), reason=str(error))
            if self._file is not None:
                self._log.info("guard.seat", path=str(self._path))
        return self._file is not None

    def _take(self) -> int | None:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_the_file(file):
                return file
        except BlockingIOError:
            pass
        except OSError:
            os.close(file)
            raise
        os.close(file)
        return None

    def _is_the_file(self, file: int) -> bool:
        try:
            named = self._path.lstat()
        except OSError:
            return False
        mine = os.fstat(file)
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)

    def close(self) -> None:
        """Lets it go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
