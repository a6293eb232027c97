"""What the end of a claim says of its slot: a failed start, a proof that it works, or nothing (N3, R38).

Failed starts in a row make the slot rest, longer each time. A rest is no intent: it ends by itself, the
next runner shows whether the slot works again, and nothing that lives is touched by it.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from andon.model.claim_states import ClaimState
from andon.model.job_states import JobStatus
from andon.model.nouns import Claim, Slot
from andon.model.slot_rests import LIVED_LONG, RESTS
from andon.model.wire import SlotState
from andon.rules.runner_causes import cause_of_claim

NOT_THE_SLOTS = frozenset(
    {"served", "stopped", "registration_deleted", "job_not_acquired", "configuration_refreshed", "disk_short"}
)
"""Causes of a runner's end that do not speak of its slot: it worked, or somebody else ended it."""


class Start(StrEnum):
    """How the start of a runner went, as far as its slot goes."""

    PROVEN = "proven"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Nothing is known that speaks for or against the slot: nothing changes (law 4)."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict, and what it stands on."""

    start: Start
    because: str


def judge_start(claim: Claim, ended: ClaimState, slot: Slot | None, job: JobStatus | None) -> Judged:
    """What the end of `claim` says. `claim` is as it stood before it was settled or released (`ended`).

    `slot`: what its host reported last; `job`: GitHub's last word on the claim's demand.
    """
    if ended is ClaimState.SETTLED:
        return Judged(start=Start.PROVEN, because="its runner served a job")
    if claim.state is not ClaimState.ORPHANED:
        return Judged(start=Start.UNKNOWN, because="no runner was started")
    cause = cause_of_claim(claim)
    if cause is not None:
        if cause.name in NOT_THE_SLOTS:
            return Judged(start=Start.UNKNOWN, because=f"its runner ended ({cause.name})")
        # By one clock, ours: since the claim was made until its end, or a deadline, put it in doubt.
        if claim.since - claim.created_at >= LIVED_LONG:
            return Judged(start=Start.PROVEN, because="its runner lived long")
        return Judged(start=Start.FAILED, because=f"ended before it served ({cause.name.replace('_', ' ')})")
    if slot is None or slot.claim != claim.id:
        return Judged(start=Start.UNKNOWN, because="its host says nothing of it")
    if slot.state in (SlotState.LISTENING.value, SlotState.RUNNING.value):
        return Judged(start=Start.PROVEN, because="its runner came up")
    if slot.state == SlotState.STARTING.value and job is JobStatus.QUEUED:
        # With its demand gone it may have been given up too early to say.
        return Judged(start=Start.FAILED, because="never came up")
    return Judged(start=Start.UNKNOWN, because="it was given up while it started")


def rest_after(failed_starts: int) -> timedelta:
    """How long a slot rests after so many failed starts in a row; zero for none."""
    return RESTS[min(failed_starts, len(RESTS)) - 1] if failed_starts > 0 else timedelta(0)


def rests(slot: Slot, now: datetime) -> bool:
    """Whether the slot rests now."""
    return slot.rests_until is not None and slot.rests_until > now


def rest_text(failed_starts: int, until: datetime) -> str:
    """For people, beside the slot."""
    return f"rests until {until:%H:%M:%S} UTC: {failed_starts} runners in a row failed before they served a job"
