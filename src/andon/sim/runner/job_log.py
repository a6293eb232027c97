"""The job's log in GitHub's format, spooled to a file: `2026-11-22T10:00:00.1234567Z text`.

Output is written as it comes and is cut at a cap, so that a flood costs neither memory nor disk
without end; the runner's own lines are few and are always written.
"""

import os
import re
from pathlib import Path

from andon.runtime.wall_time import now_utc

LIMIT_BYTES = 64 * 1024 * 1024
_LINE_LIMIT = 64 * 1024
_COMMAND = re.compile(rb"^\s*::(error|warning|notice|debug|group|endgroup|add-mask)(?: [^\r\n]*?)?::([^\r\n]*)", re.M)


class JobLog:
    """One job's log. Not for use by two threads at once."""

    def __init__(self, path: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.path = path
        self._limit_bytes = limit_bytes
        self._left = limit_bytes
        self._cut = False
        self._partial = b""
        self._masks: list[bytes] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        # GitHub's logs begin with a byte order mark.
        self._write(b"\xef\xbb\xbf")

    def line(self, text: str) -> None:
        """The runner's own words; several lines may be given at once."""
        for line in text.splitlines() or [""]:
            self._write(_stamp() + self._masked(line.encode("utf-8", "replace")) + b"\n")

    def error(self, text: str) -> None:
        """A line that GitHub shows in red and counts as the failure's reason."""
        first, *rest = text.splitlines() or [""]
        self.line(f"##[error]{first}")
        for line in rest:
            self.line(f"##[error]{line}")

    def output(self, chunk: bytes) -> None:
        """Bytes from a step, cut anywhere; whole lines are written, the rest waits."""
        if self._cut:
            return
        head, newline, self._partial = (self._partial + chunk).rpartition(b"\n")
        if newline:
            self._lines(head)
        if len(self._partial) > _LINE_LIMIT:
            self._lines(self._partial)
            self._partial = b""

    def end_output(self) -> None:
        """Writes what a step left without an end of line."""
        if self._partial:
            self._lines(self._partial)
            self._partial = b""

    def close(self) -> None:
        """No line after this."""
        os.close(self._descriptor)

    def _lines(self, block: bytes) -> None:
        if self._cut:
            return
        if b"::" in block:
            block = _COMMAND.sub(self._command, block)
        stamp = _stamp()
        data = stamp + self._masked(block).replace(b"\n", b"\n" + stamp) + b"\n"
        if len(data) > self._left:
            self._write(data[: self._left].rpartition(b"\n")[0] + b"\n")
            self._cut = True
            self.line(f"##[warning]The log was cut here: it grew larger than {self._limit_bytes} bytes.")
            return
        self._left -= len(data)
        self._write(data)

    def _command(self, found: re.Match[bytes]) -> bytes:
        name, text = found.group(1), found.group(2)
        if name == b"add-mask":
            # A mask of one or two letters would black out the whole log.
            if len(text) > 2:
                self._masks.append(text)
            return b"::add-mask::***"
        return b"##[" + name + b"]" + text

    def _masked(self, data: bytes) -> bytes:
        for mask in self._masks:
            data = data.replace(mask, b"***")
        return data

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]


def _stamp() -> bytes:
    # Seven digits as .NET writes them; Python knows six.
    return f"{now_utc():%Y-%m-%dT%H:%M:%S.%f}0Z ".encode()
