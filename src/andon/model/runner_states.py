"""A runner: a registration at GitHub, as our joined views of it see it (design.md section 5)."""

from datetime import timedelta
from enum import StrEnum

from andon.model.machine import Deadline, Machine


class RunnerState(StrEnum):
    EXPECTED = "expected"
    """Minted; nobody has seen it connect."""
    ONLINE = "online"
    BUSY = "busy"
    OFFLINE = "offline"
    GONE = "gone"


_S = RunnerState

RUNNERS = Machine[RunnerState](
    noun="runner",
    initial=frozenset({_S.EXPECTED}),
    terminal=frozenset({_S.GONE}),
    edges={
        (_S.EXPECTED, "seen_online"): _S.ONLINE,
        (_S.EXPECTED, "seen_busy"): _S.BUSY,
        (_S.EXPECTED, "removed"): _S.GONE,
        (_S.ONLINE, "seen_busy"): _S.BUSY,
        (_S.ONLINE, "seen_offline"): _S.OFFLINE,
        (_S.ONLINE, "removed"): _S.GONE,
        (_S.BUSY, "seen_online"): _S.ONLINE,
        (_S.BUSY, "seen_offline"): _S.OFFLINE,
        (_S.BUSY, "removed"): _S.GONE,
        (_S.OFFLINE, "seen_online"): _S.ONLINE,
        (_S.OFFLINE, "seen_busy"): _S.BUSY,
        (_S.OFFLINE, "removed"): _S.GONE,
    },
    deadlines={
        _S.EXPECTED: Deadline(
            limit=timedelta(seconds=150),
            text="150 s, or the pool's registration_minutes",
            consequence="its claim is orphaned: GitHub is asked",
            owner="loop:claims",
        ),
        _S.ONLINE: Deadline(
            limit=timedelta(minutes=5),
            text="5 min without a job",
            consequence="its claim is orphaned: retired while idle if the demand is gone",
            owner="loop:claims",
        ),
        _S.BUSY: Deadline(
            limit=None,
            text="the job's own limit",
            consequence="GitHub is asked and the answer journalled; never ended by us",
            owner="loop:claims",
        ),
        _S.OFFLINE: Deadline(
            limit=timedelta(days=1),
            text="1 day (GitHub removes an ephemeral runner then)",
            consequence="read as gone once GitHub no longer lists it",
            owner="loop:claims",
        ),
    },
)
