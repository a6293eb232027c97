"""What is written down of each adopted folder: `<root>/adopted/<key>/`, readable by the agent alone.

`adoption.json` is the operator's command's, whole in one file so that no stop leaves half of it;
`seen.json` is the agent's own, so that neither overwrites what the other knows.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Generator
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from andon.agent.adoption.processes import Process
from andon.agent.layout import Root
from andon.runtime.errors import Refused
from andon.runtime.files import write_atomically

FIRST_SLOT = 1000
"""Adopted slots are numbered from here, far behind the configured ones, so that a number stays the
folder's own when slots are added to the configuration."""


class Stage(StrEnum):
    """How far an adoption is."""

    BEGUN = "begun"
    """What was there before is kept; the `.env` may be the old or the new one."""
    ADOPTED = "adopted"
    UNDONE = "undone"
    """The `.env` is back; a listener that started before still calls our scripts."""


class ForeignHook(msgspec.Struct, frozen=True, kw_only=True):
    """A hook that was here before us."""

    path: str
    source: str
    """Where its name stood: `.env`, or the environment of the listener's process."""
    chained: bool
    """False: replaced; it runs no more."""


class StaleListener(msgspec.Struct, frozen=True, kw_only=True):
    """A listener that read its `.env` before we changed it."""

    process: Process
    boot_id: str


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """One adopted folder."""

    v: int = 1
    stage: Stage
    folder: str
    slot: int
    runner: str
    agent_id: int | None
    url: str | None
    work: str
    """Its work folder, as an absolute path."""
    uid: int
    gid: int
    unit: str | None
    adopted_at: datetime
    env_before: bytes | None
    """The `.env` that undoing brings back; None: there was none."""
    env_after: str
    """SHA-256 of what we made of it."""
    hooks: dict[str, str]
    """Our script for each event, as `.env` names it."""
    foreign: dict[str, ForeignHook] = {}
    """By event."""
    stale: StaleListener | None = None
    ephemeral: bool = False
    to_jit: str | None = None
    """The pool whose JIT slot it becomes at its next idle moment; None: it stays as it is."""

    @property
    def path(self) -> Path:
        """The runner's folder."""
        return Path(self.folder)


def digest(content: bytes) -> str:
    """How a `.env` is named in the record."""
    return hashlib.sha256(content).hexdigest()


class Records:
    """All adoptions below one agent's root."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.folder = root.adopted
        self.hooks = root.hooks / "adopted"

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """One command at a time changes adoptions. Raises OSError, Refused while another one does."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        file = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Refused(f"{self.folder}: another `andon agent adopt` is at work. Try again after it.") from None
        finally:
            os.close(file)

    def all_keys(self) -> list[str]:
        """Every folder that has a record, whole or not."""
        try:
            return sorted(entry.name for entry in self.folder.iterdir() if entry.is_dir())
        except OSError:
            return []

    def read(self, key: str) -> Adoption | None:
        """The record of `key`; None when there is none. Raises Refused for one that cannot be understood."""
        path = self.folder / key / "adoption.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Adoption)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise Refused(f"{path}: this record cannot be read ({error}). Move it away, and adopt again.") from None

    def write(self, key: str, adoption: Adoption) -> None:
        """Replaces the record, durably. Raises OSError."""
        write_atomically(self._made(key) / "adoption.json", msgspec.json.encode(adoption), mode=0o600)

    def script(self, key: str, event: str) -> Path:
        """Where the folder's script for `event` stands; every runner's user may read it."""
        return self.hooks / key / f"job-{event}.sh"

    def put_script(self, key: str, event: str, text: str) -> None:
        """Writes a script unless it is there already. Raises OSError."""
        path = self.script(key, event)
        for folder in (self.hooks, path.parent):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        if not path.exists() or path.read_text(encoding="utf-8", errors="surrogateescape") != text:
            write_atomically(path, os.fsencode(text), mode=0o755)

    def forget(self, key: str) -> None:
        """Removes everything of `key`: the record last, so that what is left is found again. Raises OSError."""
        shutil.rmtree(self.hooks / key, ignore_errors=True)
        kept = self.folder / key
        for name in ("seen.json", "runner.log", "adoption.json"):
            (kept / name).unlink(missing_ok=True)
        shutil.rmtree(kept, ignore_errors=True)

    def slot_for(self, key: str) -> int:
        """The folder's number: its own, or the lowest that is free."""
        taken: set[int] = set()
        for other in self.all_keys():
            try:
                found = self.read(other)
            except Refused:
                continue
            if found is not None:
                if other == key:
                    return found.slot
                taken.add(found.slot)
        return next(number for number in range(FIRST_SLOT, FIRST_SLOT + len(taken) + 1) if number not in taken)

    def _made(self, key: str) -> Path:
        folder = self.folder / key
        for each in (self.folder, folder):
            each.mkdir(mode=0o700, exist_ok=True)
        return folder
