"""Slots held by a process whose job is over: asks for the look that decides, and keeps that it is to be ended (R29)."""

from datetime import datetime, timedelta
from typing import Any

from andon.model.claim_states import RECLAIMED, ClaimEvent, ClaimState
from andon.model.job_states import JobStatus
from andon.model.journal import Entry
from andon.model.machine import Rejected
from andon.model.nouns import Claim, Job
from andon.rules.claim_doubt import JobFact
from andon.rules.limits import AFTER_THE_JOB
from andon.store import claims, hosts, jobs, outbox
from andon.store.claims import Change, advance
from andon.store.columns import to_micros
from andon.store.outbox import Act
from andon.store.transaction import Tx

KIND = "reclaim_slot"
_HOLDS = (ClaimState.BUSY, ClaimState.SETTLED)
"""A settled claim holds its slot when its process was not reported as it was settled, and is now."""


def look(tx: Tx, claim: Claim, *, after: timedelta = timedelta(0)) -> None:
    """Orders the look, unless one waits already."""
    if claim.reason == RECLAIMED or outbox.is_pending(tx.connection, KIND, claim.id):
        return
    tx.order(
        KIND,
        key=f"reclaim:{claim.id}:{to_micros(tx.now)}",
        subject=claim.id,
        generation=claim.generation,
        payload={"repository": claim.repository, "job_id": claim.job_id, "runner": claim.runner_name},
        delay=after,
    )


def still_held(tx: Tx, act: Act) -> Claim | None:
    """The claim while its host reports its process; else None, and the look is closed."""
    claim = claims.get_claim(tx.connection, act.subject)
    if claim is None or claim.state not in _HOLDS or claim.reason == RECLAIMED:
        outbox.finish(tx, act, result="it holds no slot any more")
    elif not hosts.reports_claim(tx.connection, claim):
        # Should its host report it again, its report asks again.
        outbox.finish(tx, act, result="no host reports its process any more")
    else:
        return claim
    return None


def job_fact(tx: Tx, claim: Claim) -> tuple[JobFact, datetime | None]:
    """What GitHub said last of the claim's job, and when its time is up if it is over here."""
    job = jobs.get_job(tx.connection, claim.job_id) if claim.job_id is not None else None
    # While GitHub names this runner for a job in progress, whatever job that is, nothing is ended (R28).
    if job is None or jobs.runners_in_progress(tx.connection, [claim.runner_name]):
        return (JobFact.ABSENT if job is None else JobFact.HERE), None
    if job.status is not JobStatus.COMPLETED or job.runner_name != claim.runner_name:
        return JobFact.ELSEWHERE, None
    return JobFact.DONE_HERE, _over_at(job) + AFTER_THE_JOB


def _over_at(job: Job) -> datetime:
    return job.completed_at or job.observed_at


def reclaim(tx: Tx, act: Act, claim: Claim, evidence: dict[str, Any]) -> bool:
    """Settles the claim and has its process ended; False when it is not as it was judged any more."""
    now = still_held(tx, act)
    if now is None:
        return False
    if (now.state, now.generation) != (claim.state, claim.generation):
        outbox.postpone(tx, act, until=tx.now, reason="the claim moved on while GitHub was asked")
        return False
    if now.state is ClaimState.BUSY:
        change = Change(event=ClaimEvent.OUTLIVED, actor="loop:claims", reason=RECLAIMED, evidence=evidence)
        if isinstance(advance(tx, now, change), Rejected):
            return False
    else:
        claims.set_facts(tx, now, reason=RECLAIMED)
        tx.record(_line(now, evidence))
        tx.nudges.add(f"host:{now.host}")
    return outbox.finish(tx, act, result="reclaimed")


def _line(claim: Claim, evidence: dict[str, Any]) -> Entry:
    return Entry(
        actor="loop:claims",
        kind="claim.reclaimed",
        subject_kind="claim",
        subject_id=claim.id,
        generation=claim.generation,
        from_state=claim.state.value,
        to_state=claim.state.value,
        reason=RECLAIMED,
        evidence=evidence,
        job_id=claim.job_id,
        host=claim.host,
    )
