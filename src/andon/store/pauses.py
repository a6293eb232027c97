"""Owners whose runners cannot be minted for now; each backs off alone (R18, R20)."""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, delete, select

from andon.model.journal import Entry
from andon.store.schema import owner_pauses
from andon.store.transaction import Tx
from andon.store.upsert import upsert

FIRST = timedelta(seconds=5)
LONGEST = timedelta(minutes=10)


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Until when an owner's jobs are left alone, and why."""

    owner: str
    until: datetime
    failures: int
    reason: str


def pauses(connection: Connection) -> dict[str, Pause]:
    """Every pause, also those that have run out: they remember how often it failed."""
    return {
        row.owner: Pause(owner=row.owner, until=row.until, failures=row.failures, reason=row.reason)
        for row in connection.execute(select(owner_pauses))
    }


def pause(tx: Tx, owner: str, *, reason: str, until: datetime | None) -> Pause:
    """Pauses the owner: until GitHub's own time when it gave one, else twice as long as last time."""
    known = pauses(tx.connection).get(owner)
    failures = known.failures + 1 if known else 1
    backoff = min(FIRST * 2 ** (failures - 1), LONGEST)
    end = max(until, tx.now + FIRST) if until else tx.now + backoff
    made = Pause(owner=owner, until=end, failures=failures, reason=reason)
    upsert(tx.connection, owner_pauses, msgspec.structs.asdict(made), key=("owner",))
    tx.record(
        Entry(
            actor="loop:outbox",
            kind="owner.paused",
            subject_kind="owner",
            subject_id=owner,
            reason=f"runners cannot be minted: {reason}",
            evidence={"until": end.isoformat(), "failures": failures},
        )
    )
    return made


def resume(tx: Tx, owner: str) -> None:
    """Forgets the owner's failures: a runner was minted."""
    ended = tx.connection.execute(delete(owner_pauses).where(owner_pauses.c.owner == owner))
    if ended.rowcount:
        tx.record(
            Entry(
                actor="loop:outbox",
                kind="owner.resumed",
                subject_kind="owner",
                subject_id=owner,
                reason="GitHub gave a runner again",
            )
        )
        tx.nudges.add("dispatch")
