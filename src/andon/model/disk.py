"""What agent and control plane say to each other of a host's filesystems, and of what was deleted there (R46-R55)."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from andon.model.caches import CacheReport

Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""What the database can keep of a size or a number of things."""
Difference = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""The same of a size that may have shrunk."""


class DiskLevel(StrEnum):
    """How short of room a filesystem is (R52)."""

    OK = "ok"
    SOFT = "soft"
    """What need not be kept goes."""
    HARD = "hard"
    """No job begins; everything that nothing uses goes."""
    EMERGENCY = "emergency"
    """Nearly full: the ballast goes, and the trash without its minute."""
    UNKNOWN = "unknown"
    """A level that only a newer agent knows: it proves nothing, and `admits` says what follows (R39)."""

    @classmethod
    def _missing_(cls, value: object) -> "DiskLevel | None":
        return cls.UNKNOWN if isinstance(value, str) else None


class PathClass(StrEnum):
    """What a path below the agent's root is to the guard (R47)."""

    LIVE = "live"
    """Something may still use it: it never goes."""
    DEAD = "dead"
    """A workspace that nothing uses any more."""
    BASE = "base"
    TRASH = "trash"
    CACHE = "cache"
    """Declared with the adoption, with a rule of its own."""
    UNKNOWN = "unknown"
    """Nobody's that we know of: reported, and never touched."""
    OTHER = "other"
    """A class that only a newer agent knows: shown among the unknown ones, and no reason for an alarm (R39)."""

    @classmethod
    def _missing_(cls, value: object) -> "PathClass | None":
        return cls.OTHER if isinstance(value, str) else None


class ClassTotal(msgspec.Struct, frozen=True, kw_only=True, rename={"path_class": "class"}):
    """What one class holds of a filesystem. `bytes` is None until somebody measured it."""

    path_class: PathClass
    bytes: Bytes | None = None
    count: Bytes = 0


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """A directory that would go if nothing used it."""

    path: str
    by: str
    """One sentence: what uses it."""
    bytes: Bytes | None = None
    lease: str | None = None


class GuardPass(msgspec.Struct, frozen=True, kw_only=True):
    """One pass of the guard over one filesystem."""

    at: datetime
    level: DiskLevel
    removed: Bytes = 0
    """Directories that were put into the trash, or deleted out of it."""
    freed: Difference = 0
    """By the filesystem's free space before and after, not by the sizes of what went (host-facts.md 2.3)."""


class Going(msgspec.Struct, frozen=True, kw_only=True):
    """What goes as soon as its room is needed, or its time is over."""

    path: str
    lease: str
    """Empty: it has none, as it was declared outside the agent's root."""
    owner: str
    bytes: Bytes | None = None
    why: str = ""


class DiskReport(msgspec.Struct, frozen=True, kw_only=True):
    """One filesystem that the host's jobs or its agent write to; also an entry of a host's `disk` (interfaces.md 6)."""

    mount: str
    total: Bytes
    free: Bytes
    """What anybody may still write."""
    inodes: Bytes = 0
    """0: a filesystem without a number of them."""
    inodes_free: Bytes = 0
    level: DiskLevel = DiskLevel.OK
    admits: bool = True
    """Whether a job may begin where it would write here."""
    floor: Bytes = 0
    """What must stay free beside everything that is promised to jobs (`[agent.disk] admission_floor`, or the
    emergency mark where that is more)."""
    reserved: Bytes = 0
    """What is promised to jobs that run and has not been written yet. Worked out by the control plane."""
    full_in_s: float | None = None
    """When it is full at the rate of the last minutes; None: it is not getting fuller."""
    slots: tuple[Bytes, ...] = ()
    """The slots whose jobs write here."""
    classes: tuple[ClassTotal, ...] = ()
    pinned: tuple[Pinned, ...] = ()
    passes: tuple[GuardPass, ...] = ()
    """The last few, newest first."""
    caches: tuple[CacheReport, ...] = ()
    """Compile caches that lie here."""


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a host's deletion journal (R49). Repeated to the control plane until it is acknowledged."""

    id: str
    """Of the host alone; told again, it is the same deletion."""
    at: datetime
    path: str
    path_class: str
    actor: str
    """`agent:guard`, `agent:keeper`, `operator`, or `foreign` for one that was not ours."""
    reason: str
    bytes: Bytes | None = None
    lease: str | None = None
    evidence: tuple[str, ...] = ()
    """Of a foreign one: who may have done it, one sentence each."""
