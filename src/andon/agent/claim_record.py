"""What stands in a slot directory about one runner: `claim.json` and `status.json`.

Two files with one writer each: the agent writes what was ordered, the shim what happens. Together
they are all that an agent needs that knows nothing else (R87). Neither holds the JIT config (R26).
"""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from andon.runtime.files import write_atomically

MAX_TAIL_BYTES = 4096
_MAX_RECORD_BYTES = 1 << 20


class Phase(StrEnum):
    """How far a runner came, in the shim's words."""

    STARTING = "starting"
    LISTENING = "listening"
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"
    """A word that only a newer shim knows: the runner was started, and more is not proven (R39)."""

    @classmethod
    def _missing_(cls, value: object) -> "Phase | None":
        return cls.UNKNOWN if isinstance(value, str) else None


class ClaimRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`claim.json`: the order behind this folder."""

    claim: str
    generation: int
    slot: int
    pool: str
    runner: str
    ordered_at: datetime
    user: str | None = None


class StatusRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`status.json`: what the shim saw. Start times are clock ticks since boot."""

    phase: Phase
    boot_id: str = ""
    shim_pid: int | None = None
    pid: int | None = None
    pid_start: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit: int | None = None
    signal: int | None = None
    tail: str = ""
    cgroup: str | None = None
    notes: tuple[str, ...] = ()


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_RECORD_BYTES)
    except FileNotFoundError:
        return None


def read_claim(folder: Path) -> ClaimRecord | None:
    """The order of this folder; None when it was never written or cannot be understood."""
    data = _read(folder / "claim.json")
    try:
        return msgspec.json.decode(data, type=ClaimRecord) if data is not None else None
    except msgspec.MsgspecError:
        return None


def read_status(folder: Path) -> StatusRecord | None:
    """What the shim wrote last; None when it wrote nothing yet."""
    data = _read(folder / "status.json")
    try:
        return msgspec.json.decode(data, type=StatusRecord) if data is not None else None
    except msgspec.MsgspecError:
        return None


def write_claim(folder: Path, record: ClaimRecord) -> None:
    """Replaces `claim.json`. Raises OSError."""
    write_atomically(folder / "claim.json", msgspec.json.encode(record), mode=0o600, durable=False)


def write_status(folder: Path, record: StatusRecord) -> None:
    """Replaces `status.json`; only for a folder whose shim does not live. Raises OSError."""
    write_atomically(folder / "status.json", msgspec.json.encode(record), mode=0o600, durable=False)


def bounded_tail(text: str) -> str:
    """The last 4 KiB of `text`, cut between characters."""
    return text.encode("utf-8", "replace")[-MAX_TAIL_BYTES:].decode("utf-8", "ignore")
