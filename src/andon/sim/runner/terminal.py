"""What the runner prints, in the official listener's words, and its small diagnostic files.

Supervisors read these phrases ("Listening for Jobs" means registered, interfaces.md section 10),
so they are the same to the letter. Written straight to the descriptor: a reader that went away
must not end a runner that has a job.
"""

import os
from pathlib import Path

from andon.runtime.wall_time import now_utc


class Terminal:
    """Prints lines and keeps a copy of them in `_diag`."""

    def __init__(self, diagnostics: "Diagnostics", descriptor: int = 1) -> None:
        self._diagnostics = diagnostics
        self._descriptor = descriptor

    def line(self, text: str = "") -> None:
        """One line as it is."""
        if text:
            self._diagnostics.note(f"[Terminal] {text}")
        data = f"{text}\n".encode()
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return

    def timed(self, text: str) -> None:
        """One line behind the time of day, as in `2026-11-22 10:00:00Z: Listening for Jobs`."""
        self.line(f"{now_utc():%Y-%m-%d %H:%M:%SZ}: {text}")


class Diagnostics:
    """A small log of the runner's own; never holds a secret, never stops the runner."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def note(self, text: str) -> None:
        """Adds one line."""
        if self._descriptor < 0:
            return
        try:
            os.write(self._descriptor, f"[{now_utc():%Y-%m-%d %H:%M:%SZ}] {text}\n".encode())
        except OSError:
            return


def open_diagnostics(folder: Path, kind: str) -> Diagnostics:
    """The file `_diag/KIND_20261122-100000-utc.log`; notes go nowhere when it cannot be made."""
    try:
        folder.mkdir(exist_ok=True)
        name = folder / f"{kind}_{now_utc():%Y%m%d-%H%M%S}-utc.log"
        return Diagnostics(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644))
    except OSError:
        return Diagnostics(-1)
