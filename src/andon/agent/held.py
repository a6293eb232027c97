"""What the agent holds: each claim folder below the root, judged by evidence of the kernel.

The same look serves a start after SIGKILL and every later pass (law 2), so there is no separate
recovery that is only tried on bad days.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from andon.agent.claim_record import ClaimRecord, Phase, StatusRecord, read_claim, read_status
from andon.agent.layout import Root
from andon.agent.process_identity import lives

CLAIM_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")
"""What a claim's id must look like before it becomes a folder's name."""
GONE_MARK = ".gone-"
NEW_MARK = ".new-"


class Life(StrEnum):
    """What is left of a claim's processes."""

    GUARDED = "guarded"
    """The shim lives; it will write down the end."""
    ALONE = "alone"
    """The runner lives without its shim: we watch it ourselves."""
    ENDED = "ended"
    """The shim wrote down how it ended."""
    LOST = "lost"
    """Nothing lives and nobody saw the end."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One claim that has a folder here."""

    folder: Path
    claim: ClaimRecord
    status: StatusRecord | None
    life: Life

    @property
    def live(self) -> bool:
        """Whether the slot is taken by this claim."""
        return self.life in (Life.GUARDED, Life.ALONE)


def judge(*, guarded: bool, alive: bool, status: StatusRecord | None, boot: str) -> Life:
    """What evidence says of one folder: its lock, its runner's process, its last record."""
    if status is not None and status.phase is Phase.ENDED:
        return Life.ENDED
    if guarded:
        return Life.GUARDED
    if alive and status is not None and status.boot_id == boot:
        return Life.ALONE
    return Life.LOST


def is_guarded(folder: Path) -> bool:
    """Whether a shim lives for this folder, or its start is under way: somebody holds its lock."""
    try:
        file = os.open(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def look_at(folder: Path, boot: str) -> Held | None:
    """The claim of this folder; None when the folder holds none that can be understood."""
    claim = read_claim(folder)
    if claim is None:
        return None
    # The lock first: a shim writes its last record before it lets go, so a free lock means that
    # what we read afterwards is final.
    guarded = is_guarded(folder)
    status = read_status(folder)
    alive = status is not None and lives(status.pid, status.pid_start)
    return Held(
        folder=folder, claim=claim, status=status, life=judge(guarded=guarded, alive=alive, status=status, boot=boot)
    )


def claim_folders(root: Root) -> Iterator[Path]:
    """Every folder below `slots/`, with those that are half made or half removed."""
    for slot in sorted(root.slots.iterdir()):
        if slot.is_dir():
            yield from (folder for folder in sorted(slot.iterdir()) if folder.is_dir())


def look(root: Root, boot: str) -> tuple[Held, ...]:
    """Everything that stands below the root. Raises OSError when that cannot be read."""
    out: list[Held] = []
    for folder in claim_folders(root):
        if not folder.name.startswith("."):
            held = look_at(folder, boot)
            if held is not None:
                out.append(held)
    return tuple(out)
