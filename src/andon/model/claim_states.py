"""A claim: our reservation of a slot for demand (design.md section 5).

A claim promises capacity, not a binding (law 6): only GitHub's word binds a job to a runner.
"""

from datetime import timedelta
from enum import StrEnum

from andon.model.machine import Deadline, Machine


class ClaimState(StrEnum):
    RESERVED = "reserved"
    """A slot is promised to a job; no runner exists at GitHub yet, as far as we know."""
    MINTED = "minted"
    """GitHub gave a JIT config; the agent has not started the runner yet."""
    LAUNCHED = "launched"
    """The runner's process lives."""
    REGISTERED = "registered"
    """The runner listens for jobs."""
    BUSY = "busy"
    """GitHub named this runner as the one of a job."""
    ORPHANED = "orphaned"
    """In doubt: GitHub is asked before anything is given up."""
    SETTLED = "settled"
    """The runner served its job and is gone."""
    RELEASED = "released"
    """Given back without having served; the job may be claimed again."""


class ClaimEvent(StrEnum):
    MINTED = "minted"
    LAUNCHED = "launched"
    REGISTERED = "registered"
    BOUND = "bound"
    """GitHub says that the runner has the job (`in_progress`, or the jobs API)."""
    ENDED = "ended"
    """The runner's process is gone."""
    DOUBTED = "doubted"
    """A deadline passed, or the demand is gone."""
    KEPT = "kept"
    """GitHub was asked, and the runner may go on waiting."""
    SERVED = "served"
    """GitHub was asked: the runner had its job, and the process is gone."""
    OUTLIVED = "outlived"
    """GitHub was asked: the job is over, and the runner's process lives on; it is to be ended (R29)."""
    GIVEN_UP = "given_up"
    """GitHub was asked: the runner serves nothing, and its registration is gone."""


LIVE = frozenset(
    {
        ClaimState.RESERVED,
        ClaimState.MINTED,
        ClaimState.LAUNCHED,
        ClaimState.REGISTERED,
        ClaimState.BUSY,
        ClaimState.ORPHANED,
    }
)
"""States in which a claim holds its slot and its job: the two partial unique indexes stand on it."""

RECLAIMED = "its job is over, and its runner's process lived on: the slot is reclaimed"
"""The `reason` of a settled claim whose process is to be ended (R29); no other claim has it."""

_S, _E = ClaimState, ClaimEvent

CLAIMS = Machine[ClaimState](
    noun="claim",
    initial=frozenset({_S.RESERVED}),
    terminal=frozenset({_S.SETTLED, _S.RELEASED}),
    edges={
        (_S.RESERVED, _E.MINTED): _S.MINTED,
        (_S.RESERVED, _E.GIVEN_UP): _S.RELEASED,
        (_S.MINTED, _E.LAUNCHED): _S.LAUNCHED,
        (_S.MINTED, _E.REGISTERED): _S.REGISTERED,
        (_S.MINTED, _E.BOUND): _S.BUSY,
        (_S.MINTED, _E.ENDED): _S.ORPHANED,
        (_S.MINTED, _E.DOUBTED): _S.ORPHANED,
        (_S.LAUNCHED, _E.REGISTERED): _S.REGISTERED,
        (_S.LAUNCHED, _E.BOUND): _S.BUSY,
        (_S.LAUNCHED, _E.ENDED): _S.ORPHANED,
        (_S.LAUNCHED, _E.DOUBTED): _S.ORPHANED,
        (_S.REGISTERED, _E.BOUND): _S.BUSY,
        (_S.REGISTERED, _E.ENDED): _S.ORPHANED,
        (_S.REGISTERED, _E.DOUBTED): _S.ORPHANED,
        # A busy runner's end needs no question: GitHub had bound the job to it (R28).
        (_S.BUSY, _E.ENDED): _S.SETTLED,
        (_S.BUSY, _E.OUTLIVED): _S.SETTLED,
        (_S.ORPHANED, _E.BOUND): _S.BUSY,
        (_S.ORPHANED, _E.KEPT): _S.REGISTERED,
        (_S.ORPHANED, _E.SERVED): _S.SETTLED,
        (_S.ORPHANED, _E.GIVEN_UP): _S.RELEASED,
    },
    deadlines={
        _S.RESERVED: Deadline(
            limit=timedelta(seconds=30),
            text="30 s",
            consequence="released; the job is claimed again",
            owner="loop:claims",
        ),
        _S.MINTED: Deadline(
            limit=timedelta(seconds=60),
            text="60 s",
            consequence="orphaned: the runner is looked up by name, kept when its process started, else deleted",
            owner="loop:claims",
        ),
        _S.LAUNCHED: Deadline(
            limit=timedelta(seconds=150),
            text="150 s, or the pool's registration_minutes",
            consequence="orphaned: GitHub is asked",
            owner="loop:claims",
        ),
        _S.REGISTERED: Deadline(
            limit=timedelta(minutes=5),
            text="5 min",
            consequence="orphaned: job and runner are looked up; retired while idle if the demand is gone",
            owner="loop:claims",
        ),
        _S.BUSY: Deadline(
            limit=None,
            text="the job's own limit (max_job_minutes, or 5 days)",
            consequence="GitHub is asked and the answer journalled; never ended by us",
            owner="loop:claims",
        ),
        _S.ORPHANED: Deadline(
            limit=timedelta(seconds=60),
            text="60 s",
            consequence="GitHub is asked at once and again until it answers; then released or settled",
            owner="loop:claims",
        ),
    },
)
