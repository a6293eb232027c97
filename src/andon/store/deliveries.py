"""Webhook deliveries: kept raw before anything is understood, applied once per GUID (R1, R2)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from andon.model.delivery_states import NOT_HERE, DeliveryState
from andon.store.bulk import insert_new
from andon.store.prepared import Prepared
from andon.store.schema import TO_APPLY, deliveries
from andon.store.transaction import Tx


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that waits to be applied."""

    seq: int
    guid: str
    event: str
    body: bytes
    attempts: int


MAX_ATTEMPTS = 5
"""A delivery that fails this often by our own fault is put aside as failed; a redelivery revives it."""


_REVIVED = sorted({DeliveryState.FAILED.value, *NOT_HERE})


# Made once: these run for every delivery.
_TO_APPLY = Prepared(
    select(deliveries.c.seq, deliveries.c.guid, deliveries.c.event, deliveries.c.body, deliveries.c.attempts)
    .where(TO_APPLY)
    .order_by(deliveries.c.seq)
    .limit(bindparam("most"))
)
_STATE = Prepared(select(deliveries.c.state).where(deliveries.c.seq == bindparam("delivery")))
_TOLD = (
    update(deliveries)
    .where(deliveries.c.seq == bindparam("delivery"))
    .values(state=bindparam("state"), reason=bindparam("reason"), attempts=bindparam("attempts"))
)
_FINISH = Prepared(_TOLD)
_FINISH_AND_FORGET = Prepared(_TOLD.values(body=None))


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as it came in: checked, and not yet understood."""

    guid: str
    event: str
    action: str | None
    received_at: datetime
    body: bytes


def keep(tx: Tx, *, guid: str, event: str, action: str | None, body: bytes) -> bool:
    """Stores one delivery; says whether it is new work."""
    return keep_all(tx, (Received(guid=guid, event=event, action=action, received_at=tx.now, body=body),))[0]


def keep_all(tx: Tx, received: Sequence[Received]) -> list[bool]:
    """Stores deliveries; says of each whether it is new work.

    A GUID that was applied or ignored stays as it is; one that failed in us, or that we only knew from
    GitHub's log, is taken with the new body (github-contract section 2: a redelivery carries the same GUID).
    """
    rows: list[dict[str, Any]] = [
        {
            "guid": each.guid,
            "event": each.event,
            "action": each.action,
            "received_at": each.received_at,
            "state": "stored",
            "body": each.body,
        }
        for each in received
    ]
    inserted = insert_new(tx.connection, deliveries, rows)
    new = [True] * len(rows) if inserted == len(rows) else _sort_out(tx, received, inserted)
    if any(new):
        tx.nudges.add("deliveries")
    return new


def _sort_out(tx: Tx, received: Sequence[Received], inserted: int) -> list[bool]:
    """The same for deliveries of which only `inserted` were inserted: the others' GUIDs are known."""
    # Writers are one after the other, so the newest rows are those of this transaction.
    newest = select(deliveries.c.guid).order_by(deliveries.c.seq.desc()).limit(inserted)
    fresh = set(tx.connection.execute(newest).scalars()) if inserted else set[str]()
    new: list[bool] = []
    for each in received:
        if each.guid in fresh:
            fresh.remove(each.guid)
            new.append(True)
            continue
        revived = tx.connection.execute(
            update(deliveries)
            .where(deliveries.c.guid == each.guid, deliveries.c.state.in_(_REVIVED))
            .values(state="stored", reason=None, attempts=0, body=each.body, received_at=each.received_at)
        )
        new.append(revived.rowcount > 0)
    return new


def to_apply(connection: Connection, limit: int) -> list[Delivery]:
    """The oldest deliveries that wait, in the order they came."""
    return [
        Delivery(seq=seq, guid=guid, event=event, body=body or b"", attempts=attempts)
        for seq, guid, event, body, attempts in _TO_APPLY.all(connection, most=limit)
    ]


def waits(connection: Connection, delivery: Delivery) -> bool:
    """Whether it still waits: applied exactly once, whoever comes late (R1)."""
    return _STATE.value(connection, delivery=delivery.seq) == "stored"


def finish(tx: Tx, delivery: Delivery, *, state: str, reason: str | None) -> None:
    """Marks a delivery applied, ignored or failed; the raw body of a failed one is kept."""
    statement = _FINISH if state == "failed" else _FINISH_AND_FORGET
    statement.run(tx.connection, delivery=delivery.seq, state=state, reason=reason, attempts=delivery.attempts + 1)


def count_failure(tx: Tx, delivery: Delivery, reason: str) -> bool:
    """Counts a try that failed in us; says whether the delivery is now put aside as failed."""
    failed = delivery.attempts + 1 >= MAX_ATTEMPTS
    if failed:
        finish(tx, delivery, state="failed", reason=reason)
    else:
        tx.connection.execute(
            update(deliveries)
            .where(deliveries.c.seq == delivery.seq)
            .values(attempts=delivery.attempts + 1, reason=reason)
        )
    return failed
