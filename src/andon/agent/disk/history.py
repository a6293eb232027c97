"""The lasting copy of the deletion journal: lines of JSON below the agent's root, for questions about last week.

Only a copy: what a full disk does not take is missing here, and nowhere else (R49, R53).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from andon.model.disk import Deletion
from andon.runtime.logging import Logger

FILE_BYTES = 4 << 20
"""Of the file that is written to; there is one more, as large, with what came before."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one deletion. The last line of a deletion is what became of it."""

    deletion: Deletion
    stage: str


class History:
    """The files `path` and the same with `.1`. A deletion stands on as many lines as it had steps."""

    def __init__(self, path: Path, log: Logger) -> None:
        self._path, self._old, self._log = path, path.with_name(f"{path.name}.1"), log
        self._failed = False

    def add(self, deletion: Deletion, stage: str) -> None:
        """Adds a line, if there is room for it."""
        line = msgspec.json.encode(Line(deletion=deletion, stage=stage)) + b"\n"
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                full = os.fstat(file).st_size + len(line) > FILE_BYTES
                # One write: a line that was cut off by a full disk is skipped by who reads it.
                os.write(file, line if not full else b"")
            finally:
                os.close(file)
            if full:
                self._path.replace(self._old)
                self.add(deletion, stage)
        except OSError as error:
            if not self._failed:
                self._log.warning("deletion_history.unwritten", path=str(self._path), reason=str(error))
            self._failed = True
        else:
            self._failed = False

    def lines(self) -> Iterator[Line]:
        """Everything that can be read, oldest first."""
        for path in (self._old, self._path):
            try:
                with path.open("rb") as file:
                    for line in file:
                        try:
                            yield msgspec.json.decode(line, type=Line)
                        except (msgspec.MsgspecError, UnicodeDecodeError):
                            continue
            except OSError:
                continue
