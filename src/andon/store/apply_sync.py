"""Applies an agent's report, and says what the control plane wants of the host (interfaces.md 5).

Reports are facts about runner processes: they name a claim, and a claim is one runner for ever, so
an older generation in a report is still a fact. Orders go the other way and carry generations.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from andon.model.claim_states import CLAIMS, LIVE, RECLAIMED, ClaimEvent, ClaimState
from andon.model.config import Pool
from andon.model.host_policy import HELD_BY_LABELS
from andon.model.journal import Entry
from andon.model.machine import Rejected
from andon.model.nouns import Claim, Host, Slot
from andon.model.rails import RailMode
from andon.model.wire import (
    ClaimOrder,
    EndReport,
    Intent,
    SlotReport,
    SlotState,
    StopOrder,
    SyncAnswer,
    SyncRequest,
)
from andon.rules.adopted_slots import KIND
from andon.rules.limits import registration_limit
from andon.rules.runner_causes import cause_of, says_more_with_its_job
from andon.store import claims, hosts, jobs, outliving, workspaces
from andon.store.claims import Change, advance
from andon.store.doubt import doubt
from andon.store.rails import would
from andon.store.transaction import Tx
from andon.store.withheld import held_without_its_listener

RAN_A_JOB = "Running job: "
"""What a listener prints when it took a job; then GitHub's own word is likely on its way."""
LAUNCHED_LIMIT = CLAIMS.limit(ClaimState.LAUNCHED)
REGISTERED_LIMIT = CLAIMS.limit(ClaimState.REGISTERED)
GRACE_FOR_NEWS = timedelta(seconds=3)
_BEFORE_ITS_JOB = (ClaimState.LAUNCHED, ClaimState.REGISTERED)


def apply_report(tx: Tx, host: Host, request: SyncRequest, pools: dict[str, Pool]) -> None:
    """Keeps the report and moves the claims that it speaks of."""
    actor = f"agent:{host.name}"
    hosts.hear(tx, host, boot_id=request.boot_id, seq=request.seq, version=request.agent_version, disk=request.disk)
    if request.leases is not None:
        workspaces.save(tx, host, request.leases)
    vanished: Sequence[str] = ()
    if request.slots is not None:
        vanished = hosts.save_slots(tx, host.name, request.slots)
        known = claims.get_claims(tx.connection, [each.claim for each in request.slots if each.claim])
        for report in request.slots:
            claim = known.get(report.claim or "")
            if claim is None or claim.host != host.name:
                continue
            if claim.state in LIVE:
                _follow_slot(tx, claim, report, actor, pools)
            elif claim.state is ClaimState.SETTLED and report.state is not SlotState.IDLE:
                # Its process was not reported when it was settled; now it holds a slot that nobody claims (R29).
                outliving.look(tx, claim)
    if request.ended:
        known = claims.get_claims(tx.connection, [each.claim for each in request.ended])
        for end in request.ended:
            claim = known.get(end.claim)
            if claim is not None and claim.host == host.name and claim.ended_at is None:
                _follow_end(tx, claim, end, actor)
    if vanished:
        _doubt_vanished(tx, host.name, vanished, actor)


def _doubt_vanished(tx: Tx, host: str, vanished: Sequence[str], actor: str) -> None:
    """The host showed these claims' processes, shows them no more, and tells of no end: the report of it is lost
    (R27: given out again in 60 s). GitHub is asked; a claim that GitHub bound to a job is left to its job's end."""
    for claim in claims.get_claims(tx.connection, vanished).values():
        if claim.host == host and claim.ended_at is None and claim.state in _BEFORE_ITS_JOB:
            doubt(tx, claim, actor=actor, reason="its host shows its process no more, and no end of it was reported")


def _follow_slot(tx: Tx, claim: Claim, report: SlotReport, actor: str, pools: dict[str, Pool]) -> None:
    alive = report.state in (SlotState.STARTING, SlotState.LISTENING, SlotState.RUNNING)
    if claim.state is ClaimState.MINTED and alive:
        limit = registration_limit(pools, claim.pool, otherwise=LAUNCHED_LIMIT)
        claim = _advance_or_stay(
            tx,
            claim,
            Change(
                event=ClaimEvent.LAUNCHED,
                actor=actor,
                reason="the runner's process started",
                evidence={"pid_started_at": report.pid_started_at},
                deadline=tx.now + limit,
            ),
        )
    if claim.state is ClaimState.LAUNCHED and report.state in (SlotState.LISTENING, SlotState.RUNNING):
        _advance_or_stay(
            tx,
            claim,
            Change(
                event=ClaimEvent.REGISTERED,
                actor=actor,
                reason="the runner said that it listens for jobs",
                deadline=tx.now + REGISTERED_LIMIT,
            ),
        )


def _follow_end(tx: Tx, claim: Claim, end: EndReport, actor: str) -> None:
    facts: dict[str, Any] = {"ended_at": end.at, "exit": end.exit, "signal": end.signal, "tail": end.tail}
    over = claim.state is ClaimState.RELEASED or claim.reason == RECLAIMED
    job = None
    if claim.state is ClaimState.BUSY and claim.job_id is not None and says_more_with_its_job(end.tail):
        job = jobs.get_job(tx.connection, claim.job_id)
    cause = cause_of(end.exit, end.signal, end.tail, given_up=over, job=None if job is None else job.name)
    evidence = {
        "exit": end.exit,
        "signal": end.signal,
        "at": end.at.isoformat(),
        "cause": cause.name,
        "means": cause.sentence,
        "whose": cause.whose.value,
    }
    how = f"signal {end.signal}" if end.signal else f"exit {end.exit}" if end.exit is not None else "nobody saw how"
    how = f"{how}: {cause.name.replace('_', ' ')}"
    if claim.state is ClaimState.BUSY:
        change = Change(
            event=ClaimEvent.ENDED, actor=actor, reason=f"the runner ended ({how})", evidence=evidence, values=facts
        )
        if not isinstance(advance(tx, claim, change), Rejected):
            return
    elif claim.state in (ClaimState.MINTED, ClaimState.LAUNCHED, ClaimState.REGISTERED):
        moved = doubt(
            tx,
            claim,
            event=ClaimEvent.ENDED,
            actor=actor,
            reason=f"the runner ended ({how}) before GitHub named its job",
            evidence=evidence,
            values=facts,
            # The usual case of a short job: the process ends before the webhook is here. Asking at
            # once would cost a call for each of them (limits.md section 3).
            ask_after=GRACE_FOR_NEWS if RAN_A_JOB in end.tail and end.exit == 0 else timedelta(0),
        )
        if not isinstance(moved, Rejected):
            return
    claims.set_facts(tx, claim, **facts)
    if claim.state is ClaimState.ORPHANED:
        _settle_if_served(tx, claim, actor, facts)


def _settle_if_served(tx: Tx, claim: Claim, actor: str, facts: dict[str, Any]) -> None:
    """A claim in doubt whose job GitHub already gave to its runner: served, and now gone."""
    job = jobs.get_job(tx.connection, claim.job_id) if claim.job_id is not None else None
    if job is not None and job.runner_name == claim.runner_name:
        reason = "GitHub had named it as the job's runner, and its process ended"
        advance(tx, claim, Change(event=ClaimEvent.SERVED, actor=actor, reason=reason, values=facts))


def _advance_or_stay(tx: Tx, claim: Claim, change: Change) -> Claim:
    moved = advance(tx, claim, change)
    return claim if isinstance(moved, Rejected) else moved


def _unwanted(connection: Connection, slots: Sequence[Slot]) -> list[tuple[Claim, Slot]]:
    """Claims that were given up while their runner's process lives on, each with its slot."""
    held = {slot.claim: slot for slot in slots if slot.claim and slot.state != SlotState.IDLE.value}
    # Only what was given up after GitHub agreed; a settled claim's process ends by itself, or is reclaimed.
    given_up = claims.released_of(connection, list(held))
    # While GitHub says in_progress nothing is ended, whatever our own tables say (R28).
    serving = jobs.runners_in_progress(connection, [claim.runner_name for claim in given_up])
    return [(claim, held[claim.id]) for claim in given_up if claim.runner_name not in serving]


def note_withheld_stops(tx: Tx, host_name: str) -> int:
    """In observe mode: journals, once a claim, each stop that is not ordered; counts the new ones."""
    said = 0
    for claim, slot in _unwanted(tx.connection, hosts.all_slots(tx.connection, host=host_name)):
        over = "its slot was reclaimed" if claim.state is ClaimState.SETTLED else "its claim was given up"
        entry = Entry(
            actor="loop:claims",
            kind="runner.would_stop",
            subject_kind="claim",
            subject_id=claim.id,
            generation=slot.generation or claim.generation,
            reason="rails are in observe mode: the host would have been told to end this runner's process, "
            f"since {over}",
            evidence={"slot": slot.slot, "slot_state": slot.state, claim.state.value: claim.reason},
            job_id=claim.job_id,
            host=host_name,
        )
        said += would(tx, key=f"stop:{claim.id}", entry=entry)
    return said


def wishes(
    connection: Connection,
    host_name: str,
    *,
    now: datetime,
    ack: int,
    resync: bool,
    policy: dict[str, Any],
    mode: RailMode = "act",
) -> SyncAnswer:
    """What the control plane wants of the host now, from the state alone: safe to repeat."""
    host = hosts.get_host(connection, host_name)
    slots = hosts.all_slots(connection, host=host_name)
    orders: list[ClaimOrder] = []
    for claim, jit in claims.jit_configs_of(connection, host_name):
        orders.append(
            ClaimOrder(
                id=claim.id,
                generation=claim.generation,
                slot=claim.slot,
                runner=claim.runner_name,
                jit=jit,
                deadline=claim.deadline or now,
            )
        )
    stops = tuple(
        StopOrder(claim=claim.id, generation=slot.generation or claim.generation)
        for claim, slot in _unwanted(connection, slots)
    )
    if any(slot.kind == KIND for slot in slots):
        policy = {**policy, HELD_BY_LABELS: held_without_its_listener(connection, host_name, now)}
    # Older agents have no workspaces, and cost no look at them.
    stands, of_leases = workspaces.words_for(connection, host_name) if host and host.workspaces else ({}, {})
    return SyncAnswer(
        ack=ack,
        resync=resync,
        intent=Intent(
            host=host.intent.value if host else "open",
            slots={str(slot.slot): slot.intent.value for slot in slots},
        ),
        claims=tuple(orders),
        # Ending a runner's process is an act: a rail that does not act leaves it (R98).
        stop=stops if mode == "act" else (),
        policy=policy,
        runs=stands,
        jobs=of_leases,
    )
