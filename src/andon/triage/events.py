"""Fleet events that confirm a reading of the log, or put another in its place.

The fourth step of triage-facts.md section 2.1.
An event's kind is one of ours or of a host's own words; what is not in the table says nothing.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, cast

import msgspec

from andon.triage.facts import FleetEvent, JobFacts

BEFORE: Final = timedelta(minutes=10)
AFTER: Final = timedelta(minutes=2)

_WORDS: Final[tuple[tuple[str, str], ...]] = (
    ("disk.full", "disk-full"),
    ("disk.hard", "disk-full"),
    ("disk.emergency", "disk-full"),
    ("enospc", "disk-full"),
    ("oom", "oom-kill"),
    ("prune", "workspace-race"),
    ("delet", "workspace-race"),
    ("writer", "workspace-race"),
    ("owner", "permission"),
    ("shutdown", "runner-shutdown"),
    ("spot", "runner-shutdown"),
    ("daemon", "docker-daemon"),
    ("clock", "clock-skew"),
    ("gpu", "gpu-driver"),
    ("readonly", "fs-io"),
    ("io.error", "fs-io"),
)
PATH_KINDS: Final = frozenset({"workspace-race", "permission"})
"""Confirmed only for a path that the log names, or one above it."""
ALONE: Final = frozenset({"disk-full", "oom-kill", "runner-shutdown", "docker-daemon"})
"""Kinds that such an event may give to a failure that the log does not explain."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What one event says of one job."""

    kind: str
    text: str
    path: str | None


def spoken(events: Sequence[FleetEvent], job: JobFacts | None) -> tuple[Word, ...]:
    """What the events of the job's time say; an event without a time is taken for one of it."""
    return tuple(word for event in events if _in_time(event, job) and (word := _word(event)) is not None)


def _word(event: FleetEvent) -> Word | None:
    name = event.kind.lower().replace("-", ".").replace("_", ".")
    detail = cast("dict[str, Any]", event.detail) if isinstance(event.detail, dict) else {}
    text = " ".join(part for part in (event.kind, event.host or "", event.path or "") if part)
    if name.startswith("probe"):
        said = str(cast("object", event.detail)).lower()
        if detail.get("ok") is not False and said not in ("failed", "failing", "fail"):
            return None
        probe = f"{name} {detail.get('name', '')}"
        return Word(kind="dns" if "dns" in probe else "network", text=text, path=None)
    if name.startswith("disk.free"):
        free = detail.get("free_percent", detail.get("inodes_free_percent"))
        if isinstance(free, int | float) and free < 1:
            return Word(kind="disk-full", text=text, path=event.path)
        return None
    for word, kind in _WORDS:
        if word in name:
            return Word(kind=kind, text=text, path=event.path)
    return None


def _in_time(event: FleetEvent, job: JobFacts | None) -> bool:
    if event.at is None or job is None:
        return True
    if job.started_at is not None and event.at < job.started_at - BEFORE:
        return False
    return job.completed_at is None or event.at <= job.completed_at + AFTER


def names_path(word: Word, text: str) -> bool:
    """Whether a line speaks of the event's path, or of something below it."""
    path = (word.path or "").rstrip("/")
    if not path or path.count("/") < 2:
        return False
    at = text.find(path)
    while at >= 0:
        following = text[at + len(path) : at + len(path) + 1]
        if not (following.isalnum() or following in "-_."):
            return True
        at = text.find(path, at + 1)
    return False
