"""Hosts, their tokens and their slots: what agents report, and what we intend with them."""

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, or_, select, update

from andon.model.host_states import HostObserved, Intent
from andon.model.journal import Entry
from andon.model.nouns import Claim, Host, Slot
from andon.model.wire import SlotReport, SlotState
from andon.rules.adopted_slots import KIND
from andon.rules.dispatch import FreeSlot
from andon.store.bulk import insert_new
from andon.store.columns import or_database_time
from andon.store.prepared import Prepared, Records
from andon.store.rows import to_columns
from andon.store.schema import LIVE_CLAIM, claims, host_tokens, hosts, slots
from andon.store.slot_rests import end_rests
from andon.store.transaction import Tx
from andon.store.upsert import upsert_all


def token_hash(token: str) -> str:
    """How a host token is kept: tokens are long and random, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def enrol(tx: Tx, name: str, token: str, *, reason: str = "the agent showed a valid enrolment secret") -> bool:
    """Adds a host with its token; False when the name is taken by another token."""
    row: dict[str, Any] = {"token_hash": token_hash(token), "host": name, "created_at": tx.now}
    if not insert_new(tx.connection, host_tokens, [row]):
        return False
    host: dict[str, Any] = {
        "name": name,
        "intent": Intent.OPEN.value,
        "observed": HostObserved.UNKNOWN.value,
        "seq": 0,
        "disk": [],
        "enrolled_at": tx.now,
    }
    insert_new(tx.connection, hosts, [host])
    tx.record(
        Entry(
            actor=f"agent:{name}",
            kind="host.enrolled",
            subject_kind="host",
            subject_id=name,
            reason=reason,
            host=name,
        )
    )
    return True


# Made once: these run with every sync of every agent, and to make a statement costs more than to run it.
_OF_TOKEN = Prepared(select(host_tokens.c.host).where(host_tokens.c.token_hash == bindparam("token_hash")))
_BY_NAME = Records(select(hosts).where(hosts.c.name == bindparam("name")), Host)
_ALL = Records(select(hosts).order_by(hosts.c.name), Host)
_SLOTS = Records(select(slots).order_by(slots.c.host, slots.c.slot), Slot)
_SLOTS_OF = Records(select(slots).where(slots.c.host == bindparam("host")).order_by(slots.c.slot), Slot)
_HEAR = Prepared(
    update(hosts)
    .where(hosts.c.name == bindparam("host"))
    .values({name: bindparam(name) for name in ("observed", "boot_id", "seq", "version")})
    .values(last_seen=or_database_time("last_seen"))
)
_UNHEARD = Prepared(
    select(hosts.c.name, hosts.c.last_seen).where(
        hosts.c.observed == HostObserved.REPORTING.value, hosts.c.last_seen < bindparam("before")
    )
)


def host_of_token(connection: Connection, token: str) -> str | None:
    """The host that this token belongs to, or None."""
    return _OF_TOKEN.value(connection, token_hash=token_hash(token))


def get_host(connection: Connection, name: str) -> Host | None:
    """The host, or None."""
    return _BY_NAME.struct(connection, name=name)


def all_hosts(connection: Connection) -> list[Host]:
    """Every host, by name."""
    return _ALL.structs(connection)


def all_slots(connection: Connection, *, host: str | None = None) -> list[Slot]:
    """Every slot, by host and number."""
    return _SLOTS.structs(connection) if host is None else _SLOTS_OF.structs(connection, host=host)


def hear(tx: Tx, host: Host, *, boot_id: str, seq: int, version: str) -> None:
    """Keeps that the host has just spoken; a change of what we observe is journalled.

    When it spoke is the time of the database, put in by the same statement: the replica that it speaks to and the one
    that calls it silent may have clocks that differ (R35).
    """
    values: dict[str, Any] = {
        "observed": HostObserved.REPORTING.value,
        "last_seen": tx.time_to_write(),
        "boot_id": boot_id,
        "seq": seq,
        "version": version,
    }
    _HEAR.run(tx.connection, host=host.name, **values)
    if host.observed is not HostObserved.REPORTING or host.boot_id != boot_id:
        silent_s = (tx.lease_time() - host.last_seen).total_seconds() if host.last_seen else None
        if host.boot_id != boot_id:
            # Whoever restarted the agent may have mended what was wrong.
            end_rests(tx, host.name)
        tx.record(
            Entry(
                actor=f"agent:{host.name}",
                kind="host.reporting",
                subject_kind="host",
                subject_id=host.name,
                from_state=host.observed.value,
                to_state=HostObserved.REPORTING.value,
                reason="the agent reports" if host.boot_id == boot_id else "the agent reports from a new start",
                evidence={"boot_id": boot_id, "version": version, "silent_s": silent_s},
                host=host.name,
            )
        )
        tx.nudges.add("dispatch")


def fall_silent(tx: Tx, before: datetime) -> list[str]:
    """Marks hosts not heard since `before` (of the clock that `hear` dates by, `tx.lease_time`) as silent: unknown, not
    down (R35). Gives their names."""
    silent = [(name, last_seen) for name, last_seen in _UNHEARD.all(tx.connection, before=before)]
    for name, last_seen in silent:
        tx.connection.execute(update(hosts).where(hosts.c.name == name).values(observed=HostObserved.SILENT.value))
        tx.record(
            Entry(
                actor="loop:hosts",
                kind="host.silent",
                subject_kind="host",
                subject_id=name,
                from_state=HostObserved.REPORTING.value,
                to_state=HostObserved.SILENT.value,
                reason=f"no report since {last_seen.isoformat()}; its slots are unknown and no capacity",
                host=name,
            )
        )
    if silent:
        tx.nudges.add("pages")
    return [name for name, _ in silent]


def save_slots(tx: Tx, host: str, reports: tuple[SlotReport, ...]) -> list[str]:
    """Replaces what we know of the host's slots by what its agent says; intents are ours and stay.

    Gives the claims that it showed before and does not show any more.
    """
    known = {slot.slot: slot for slot in all_slots(tx.connection, host=host)}
    shown = {report.claim for report in reports}
    vanished = [slot.claim for slot in known.values() if slot.claim is not None and slot.claim not in shown]
    changed: list[dict[str, Any]] = []
    for report in reports:
        before = known.pop(report.slot, None)
        same = before is not None and (before.state, before.claim) == (report.state.value, report.claim)
        # A persistent runner that took a job can be counted on again; of others the end of their claim says it.
        works = report.kind == KIND and report.state is SlotState.RUNNING
        told = Slot(
            host=host,
            slot=report.slot,
            kind=report.kind,
            pool=report.pool or _pool_known(report, before),
            intent=before.intent if before else Intent.OPEN,
            state=report.state.value,
            claim=report.claim,
            generation=report.generation,
            runner=report.runner,
            note=report.note,
            since=before.since if before is not None and same else tx.now,
            failed_starts=before.failed_starts if before and not works else 0,
            rests_until=before.rests_until if before and not works else None,
        )
        if told != before:
            changed.append(to_columns(told))
        if not same and (report.state is SlotState.IDLE or report.kind == KIND):
            tx.nudges.add("dispatch")
        if report.kind == KIND and not told.pool:
            # GitHub's list of runners has its labels, and they say which pool it serves.
            tx.nudges.add("registrations")
    upsert_all(tx.connection, slots, changed, key=("host", "slot"))
    for gone in known:
        tx.connection.execute(delete(slots).where(slots.c.host == host, slots.c.slot == gone))
    return vanished


def _pool_known(report: SlotReport, before: Slot | None) -> str:
    """The pool of an adopted slot whose agent knows none: what its runner's labels gave."""
    same = before is not None and (before.kind, before.runner) == (report.kind, report.runner)
    return before.pool if before is not None and same and report.kind == KIND else ""


_REPORTED = Prepared(
    select(slots.c.slot)
    .join(hosts, hosts.c.name == slots.c.host)
    .where(
        slots.c.host == bindparam("of_host"),
        slots.c.claim == bindparam("of_claim"),
        slots.c.state != SlotState.IDLE.value,
        hosts.c.observed == HostObserved.REPORTING.value,
    )
)


def reports_claim(connection: Connection, claim: Claim) -> bool:
    """Whether a host that reports still has this claim's process on a slot."""
    return _REPORTED.first(connection, of_host=claim.host, of_claim=claim.id) is not None


_HELD = select(claims.c.id).where(claims.c.host == slots.c.host, claims.c.slot == slots.c.slot, LIVE_CLAIM).exists()
_FAILING = (
    select(slots.c.host, func.count().label("many")).where(slots.c.failed_starts > 0).group_by(slots.c.host).subquery()
)
# Made once: this statement runs in every round of dispatch.
_FREE = Prepared(
    select(
        slots.c.host,
        slots.c.slot,
        slots.c.pool,
        slots.c.failed_starts,
        func.coalesce(_FAILING.c.many, 0),
        hosts.c.disks,
    )
    .join(hosts, hosts.c.name == slots.c.host)
    .outerjoin(_FAILING, _FAILING.c.host == slots.c.host)
    .where(
        slots.c.state == SlotState.IDLE.value,
        slots.c.kind == "jit",
        slots.c.intent == Intent.OPEN.value,
        hosts.c.intent == Intent.OPEN.value,
        hosts.c.observed == HostObserved.REPORTING.value,
        or_(slots.c.rests_until.is_(None), slots.c.rests_until <= bindparam("now")),
        ~_HELD,
    )
    .order_by(slots.c.host, slots.c.slot)
)


def free_slots(connection: Connection, now: datetime) -> list[FreeSlot]:
    """Idle, open JIT slots of reporting, open hosts that no live claim holds, and that do not rest at `now`."""
    return [
        FreeSlot(host=host, slot=slot, pool=pool, failed_starts=failed, failing_slots=failing, tells_disks=disks > 0)
        for host, slot, pool, failed, failing, disks in _FREE.all(connection, now=now)
    ]
