"""Why does a job wait? Exactly one cause: the first of one table that holds (R74).

The order is the one of interfaces.md section 6 and stands once, here.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from andon.model.claim_states import ClaimState
from andon.model.config import Pool
from andon.model.job_states import JobStatus
from andon.model.why import Why
from andon.rules.disk_admission import Shortage, shortage_facts, shortage_text

GITHUB_SLOW_AFTER = timedelta(seconds=60)
"""GitHub re-queues an assignment not picked up for 60 s; a longer wait beside a listening runner is its own."""


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the causes look at, for one job."""

    job: int
    status: JobStatus
    queued_at: datetime | None
    created_at: datetime
    now: datetime
    owner: str
    labels: tuple[str, ...]
    pool: Pool | None
    run_known: bool
    fork: bool
    trusted: bool
    claim_state: ClaimState | None
    claim_since: datetime | None
    claim_reason: str | None
    slots: int
    """Slots of the pool, wherever they are."""
    slots_closed: Mapping[str, int]
    """Slots that cannot be claimed at all, by what keeps them (`rules.slot_views.closed_by`)."""
    slots_open: int
    """Slots of the pool that may be claimed: open, on an open host that reports."""
    slots_free: int
    """Of those, the idle ones without a claim that a runner can be made on."""
    adopted_idle: int = 0
    """Adopted ones of the pool that stand idle; older jobs are left to them first."""
    left_to: str | None = None
    """The adopted runner that is expected to take this job."""
    left_until: datetime | None = None
    """When it is served like any other, should that runner not take it."""
    rested_at: datetime | None = None
    """When the first of those that rest after failed starts has rested; None: none rests."""
    hosts_silent: tuple[str, ...]
    shortage: Shortage | None = None
    """Why no slot that could take it has room for it (`rules.disk_admission`); None: one has, or nobody tells of
    any."""
    max_slots: int | None
    owner_used: int
    paused_until: datetime | None
    pause_reason: str | None
    pause_tried: bool = False
    """The pause has run out, and a claim of another job tries whether GitHub gives runners again."""
    dispatch_mode: str
    """`act`, `observe` or `off`."""
    position: int | None
    """The job's place among the waiting jobs of its pool, from 1."""


class _Cause(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    holds: Callable[[Situation], bool]
    text: Callable[[Situation], str]
    until: str
    facts: Callable[[Situation], dict[str, Any]] = lambda s: {}


def _queued(s: Situation) -> bool:
    return s.status is JobStatus.QUEUED


def _claimed(s: Situation, *states: ClaimState) -> bool:
    return _queued(s) and s.claim_state in states


def _unclaimed(s: Situation) -> bool:
    return _queued(s) and s.claim_state is None


def _pool_name(s: Situation) -> str:
    return s.pool.name if s.pool else "none"


def _closed(s: Situation) -> str:
    """What keeps the slots, the most frequent first: `3 silent (host-b), 1 cordoned`."""
    parts: list[str] = []
    for cause, count in sorted(s.slots_closed.items(), key=lambda each: (-each[1], each[0])):
        where = f" ({', '.join(s.hosts_silent)})" if cause == "silent" else ""
        if cause == "resting" and s.rested_at is not None:
            where = f" after failed starts (the first until {s.rested_at:%H:%M:%S} UTC)"
        parts.append(f"{count} {cause}{where}")
    return ", ".join(parts)


def _resting(s: Situation) -> str:
    """Beside slots that are taken: that there would be more. Empty when none rests."""
    count = s.slots_closed.get("resting", 0)
    if not count or s.rested_at is None:
        return ""
    rest = "rests" if count == 1 else "rest"
    return f" {count} more {rest} after failed starts, the first until {s.rested_at:%H:%M:%S} UTC."


def _closed_facts(s: Situation) -> dict[str, Any]:
    facts: dict[str, Any] = {"slots": s.slots, "closed": dict(s.slots_closed), "hosts_silent": list(s.hosts_silent)}
    return facts if s.rested_at is None else {**facts, "rested_at": s.rested_at.isoformat()}


def _lacks_room(s: Situation) -> bool:
    return _unclaimed(s) and s.shortage is not None and s.left_until is None


def _about_to_start(s: Situation) -> bool:
    if s.claim_state is not None or s.left_until is not None:
        return True
    return s.slots_free > 0 and (s.position or 1) <= s.slots_free + s.adopted_idle


def _starting_facts(s: Situation) -> dict[str, Any]:
    facts: dict[str, Any] = {"claim": s.claim_state.value if s.claim_state else None}
    if s.claim_state is None and s.left_until is not None:
        facts |= {"left_to": s.left_to, "left_until": s.left_until.isoformat()}
    return facts


def _starting_text(s: Situation) -> str:
    if s.claim_state is None and s.left_until is not None:
        return (
            f"Adopted runner {s.left_to} stands idle and is expected to take it; "
            f"from {s.left_until:%H:%M:%S} UTC on it is served like any other job."
        )
    if s.claim_state is None:
        return f"A slot of pool {_pool_name(s)} is free; the job is about to be claimed."
    return f"Its runner is starting ({s.claim_state.value})."


CAUSES: tuple[_Cause, ...] = (
    _Cause(
        name="gate",
        holds=lambda s: s.status is JobStatus.WAITING,
        text=lambda s: "It waits behind a deployment gate at GitHub.",
        until="somebody approves or rejects the deployment",
    ),
    _Cause(
        name="concurrency_group",
        holds=lambda s: s.status is JobStatus.PENDING,
        text=lambda s: "It waits for its concurrency group at GitHub.",
        until="the run before it in the group ends",
    ),
    _Cause(
        name="github",
        holds=lambda s: (
            _claimed(s, ClaimState.REGISTERED)
            and s.claim_since is not None
            and s.now - s.claim_since > GITHUB_SLOW_AFTER
        ),
        text=lambda s: "Its runner is online and listens; GitHub has not assigned the job yet.",
        until="GitHub assigns the job",
    ),
    _Cause(
        name="stranded",
        holds=lambda s: _claimed(s, ClaimState.ORPHANED),
        text=lambda s: f"Its runner is in doubt ({s.claim_reason or 'no reason kept'}); GitHub is being asked.",
        until="GitHub answers; then the job is claimed again or goes on",
    ),
    _Cause(
        name="unserved_label",
        holds=lambda s: _queued(s) and s.pool is None,
        text=lambda s: f"No pool serves the labels {', '.join(s.labels)}.",
        until="a pool with these labels is configured, or the workflow asks for others",
        facts=lambda s: {"labels": list(s.labels)},
    ),
    _Cause(
        name="quarantined",
        holds=lambda s: _unclaimed(s) and s.slots > 0 and s.slots_closed.get("quarantined", 0) == s.slots,
        text=lambda s: f"All {s.slots} slots of pool {_pool_name(s)} are quarantined.",
        until="a probe passes, or somebody releases a host",
        facts=lambda s: {"slots": s.slots},
    ),
    _Cause(
        name="no_runner",
        # Slots that are closed for nothing but want of room have a cause of their own.
        holds=lambda s: _unclaimed(s) and s.slots_open == 0 and s.shortage is None,
        text=lambda s: (
            f"Pool {_pool_name(s)} has no slot on any host."
            if s.slots == 0
            else f"None of the {s.slots} slots of pool {_pool_name(s)} can be claimed: {_closed(s)}."
        ),
        until="a host of the pool reports and is open, or a slot has rested",
        facts=_closed_facts,
    ),
    _Cause(
        name="no_disk",
        holds=_lacks_room,
        text=lambda s: "" if s.shortage is None else shortage_text(s.shortage),
        until="a job that writes there ends, space is freed there, or a host with more room joins",
        facts=lambda s: {} if s.shortage is None else shortage_facts(s.shortage),
    ),
    _Cause(
        name="capped",
        holds=lambda s: _unclaimed(s) and s.max_slots is not None and s.owner_used >= s.max_slots,
        text=lambda s: f"{s.owner} uses {s.owner_used} of at most {s.max_slots} slots.",
        until="a job of the same owner ends",
        facts=lambda s: {"max_slots": s.max_slots, "used": s.owner_used},
    ),
    _Cause(
        name="reserved",
        holds=lambda s: _unclaimed(s) and s.run_known and not s.trusted,
        text=lambda s: (
            f"Pool {_pool_name(s)} takes no work from forks."
            if s.fork
            else f"Pool {_pool_name(s)} serves listed repositories only."
        ),
        until="the pool's trust is changed",
        facts=lambda s: {"trust": s.pool.trust if s.pool else None, "fork": s.fork},
    ),
    _Cause(
        name="rate_limited",
        holds=lambda s: _unclaimed(s) and s.paused_until is not None and (s.paused_until > s.now or s.pause_tried),
        text=lambda s: (
            f"Runners of {s.owner} cannot be registered at GitHub for now: {s.pause_reason}."
            if not s.pause_tried
            else f"Runners of {s.owner} could not be registered at GitHub: {s.pause_reason}. One is tried now."
        ),
        until="the pause ends and GitHub gives a runner again",
        facts=lambda s: {"until": s.paused_until.isoformat() if s.paused_until else None},
    ),
    _Cause(
        name="degraded",
        holds=lambda s: _unclaimed(s) and (s.dispatch_mode != "act" or not s.run_known),
        text=lambda s: (
            f"Dispatch is switched to {s.dispatch_mode}."
            if s.dispatch_mode != "act"
            else "The event and origin of its run are not known yet; GitHub is being asked."
        ),
        until="dispatch acts again, or GitHub answers",
        facts=lambda s: {"dispatch": s.dispatch_mode, "run_known": s.run_known},
    ),
    _Cause(
        name="starting",
        holds=lambda s: _queued(s) and _about_to_start(s),
        text=_starting_text,
        until="the runner takes the job",
        facts=_starting_facts,
    ),
    _Cause(
        name="busy",
        holds=_queued,
        text=lambda s: (
            f"The free slots of pool {_pool_name(s)} go to older jobs."
            if s.slots_free or s.adopted_idle
            else f"All {s.slots_open} open slots of pool {_pool_name(s)} are taken.{_resting(s)}"
        ),
        until="a job of the pool ends",
        facts=lambda s: {"slots": s.slots_open, "resting": s.slots_closed.get("resting", 0)},
    ),
    _Cause(
        name="not_waiting",
        holds=lambda s: True,
        text=lambda s: f"The job is {s.status.value.replace('_', ' ')}; it does not wait.",
        until="nothing",
    ),
)
"""In order of precedence."""

WITHHELD = frozenset({"gate", "concurrency_group", "capped", "reserved"})
"""Causes that are somebody's decision, not lack of capacity (interfaces.md section 10)."""


def why(s: Situation) -> Why:
    """The first cause that holds; the last one always does."""
    cause = next(each for each in CAUSES if each.holds(s))
    waits = cause.name != "not_waiting"
    return Why(
        job=s.job,
        cause=cause.name,
        text=cause.text(s),
        facts=cause.facts(s),
        until=cause.until,
        position=s.position if waits else None,
        since=(s.queued_at or s.created_at) if waits else None,
    )
