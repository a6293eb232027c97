"""A line of the append-only journal: who did what, why, on which evidence (promise 5, R16)."""

from datetime import datetime
from typing import Any

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One journal line before the store gives it an id and a time."""

    actor: str
    """`loop:dispatch`, `operator`, `agent:host-a` or `github`."""
    kind: str
    """`noun.verb`, such as `claim.orphaned`."""
    subject_kind: str
    subject_id: str
    generation: int | None = None
    from_state: str | None = None
    to_state: str | None = None
    reason: str
    mode: str = "act"
    evidence: dict[str, Any] = {}
    job_id: int | None = None
    """The job whose story this line belongs to, if any."""
    host: str | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A journal line as it is kept."""

    id: str
    at: datetime
    entry: Entry
