"""What is intended with a host: changes of its intent by their table, journalled with their reason."""

from typing import Any

import msgspec
from sqlalchemy import update

from andon.model.config import Mode
from andon.model.host_states import INTENTS, Intent
from andon.model.journal import Entry
from andon.model.machine import Rejected
from andon.model.nouns import Host
from andon.model.rails import Rail
from andon.model.wire import SyncRequest
from andon.rules.host_clock import judge_clock
from andon.rules.rails import Admission
from andon.store.rail_gate import admit
from andon.store.rails import would
from andon.store.schema import hosts
from andon.store.slot_rests import end_rests
from andon.store.transaction import Tx
from andon.store.withheld import agree

_KINDS = {"cordon": "host.cordoned", "uncordon": "host.uncordoned"}


def change_intent(
    tx: Tx, host: Host, event: str, *, actor: str, reason: str, evidence: dict[str, Any] | None = None
) -> str | Rejected:
    """Moves the host's intent; gives the journal line, or Rejected where the table has no such edge.

    What runs there goes on; a closed host gets no new claims.
    """
    after = INTENTS.advance(host.intent, event)
    if isinstance(after, Rejected):
        return after
    tx.connection.execute(
        update(hosts)
        .where(hosts.c.name == host.name)
        .values(intent=after.value, reason=None if after is Intent.OPEN else reason)
    )
    if after is Intent.OPEN:
        end_rests(tx, host.name)
    # From this moment on GitHub is to give its adopted runners no job, or may again.
    agree(tx)
    tx.nudges |= {"dispatch", f"host:{host.name}"}
    return tx.record(_entry(host, event, after, actor, reason, evidence or {}))[0]


class ClockMoved(msgspec.Struct, frozen=True, kw_only=True):
    """What a host's clock changed, or would have: why, and what the rail said."""

    reason: str
    admission: Admission


def follow_clock(tx: Tx, host: Host, report: SyncRequest, *, fleet: Mode) -> ClockMoved | None:
    """Closes a host whose clock is wrong, and opens it when it is right again; None when nothing is new.

    In observe mode it is only journalled, once a boot of the host. Past the cap of its rail the host's
    next reports ask again.
    """
    if report.clock is None or report.clock.tzinfo is None:
        return None
    if judge_clock(host, report.clock - tx.now) is None:
        return None
    # The wrong clock may be ours. Replicas differ, and each would undo what another did: the shared one decides.
    off = report.clock - tx.lease_time()
    verdict = judge_clock(host, off)
    if verdict is None:
        return None
    evidence = {"clock_off_s": round(off.total_seconds())}
    answer = admit(tx, Rail.QUARANTINE, fleet)
    moved = ClockMoved(reason=verdict.reason, admission=answer)
    if answer.mode == "observe":
        after = INTENTS.advance(host.intent, verdict.event)
        assert not isinstance(after, Rejected)
        entry = _entry(host, verdict.event, after, "loop:hosts", verdict.reason, evidence)
        return moved if would(tx, key=f"{verdict.event}:{host.name}:{report.boot_id}", entry=entry) else None
    if not answer.acts:
        return None
    line = change_intent(tx, host, verdict.event, actor="loop:hosts", reason=verdict.reason, evidence=evidence)
    return None if isinstance(line, Rejected) else moved


def _entry(host: Host, event: str, after: Intent, actor: str, reason: str, evidence: dict[str, Any]) -> Entry:
    return Entry(
        actor=actor,
        kind=_KINDS[event],
        subject_kind="host",
        subject_id=host.name,
        from_state=host.intent.value,
        to_state=after.value,
        reason=reason,
        evidence=evidence,
        host=host.name,
    )
