"""A workspace (the directory of one run + attempt + job) and a base (what warm starts clone)."""

from datetime import timedelta
from enum import StrEnum

from andon.model.machine import Deadline, Machine


class WorkspaceState(StrEnum):
    FRESH = "fresh"
    LEASED = "leased"
    DRAINING = "draining"
    """The job is over; processes, mounts or open files are not."""
    DEAD = "dead"
    TRASHED = "trashed"


class BaseState(StrEnum):
    BUILDING = "building"
    CURRENT = "current"
    SUPERSEDED = "superseded"
    POISONED = "poisoned"


_W, _B = WorkspaceState, BaseState

WORKSPACES = Machine[WorkspaceState](
    noun="workspace",
    initial=frozenset({_W.FRESH}),
    terminal=frozenset({_W.TRASHED}),
    edges={
        (_W.FRESH, "taken"): _W.LEASED,
        (_W.FRESH, "abandoned"): _W.DEAD,
        (_W.LEASED, "job_ended"): _W.DRAINING,
        (_W.DRAINING, "proven_dead"): _W.DEAD,
        (_W.DEAD, "trashed"): _W.TRASHED,
    },
    deadlines={
        _W.FRESH: Deadline(
            limit=timedelta(minutes=10),
            text="10 min without a lease",
            consequence="dead, once no process, mount or open file is left below it",
            owner="agent",
        ),
        _W.LEASED: Deadline(
            limit=None,
            text="the job's own limit",
            consequence="reported; never ended by us",
            owner="agent",
        ),
        _W.DRAINING: Deadline(
            limit=timedelta(minutes=10),
            text="10 min",
            consequence="what holds it is named; it stays until proven dead",
            owner="agent",
        ),
        _W.DEAD: Deadline(
            limit=timedelta(hours=24),
            text="10 min, or 24 h for a failed job's",
            consequence="trashed",
            owner="agent",
        ),
    },
)

BASES = Machine[BaseState](
    noun="base",
    initial=frozenset({_B.BUILDING}),
    terminal=frozenset({_B.SUPERSEDED, _B.POISONED}),
    edges={
        (_B.BUILDING, "published"): _B.CURRENT,
        (_B.BUILDING, "discarded"): _B.SUPERSEDED,
        (_B.CURRENT, "replaced"): _B.SUPERSEDED,
        (_B.CURRENT, "blamed"): _B.POISONED,
    },
    deadlines={
        _B.BUILDING: Deadline(limit=timedelta(minutes=10), text="10 min", consequence="discarded", owner="agent"),
        _B.CURRENT: Deadline(
            limit=None,
            text="until a newer one is published",
            consequence="superseded",
            owner="agent",
        ),
    },
)
