"""Webhook deliveries: kept raw before anything is understood, applied once per GUID (R1, R2)."""

from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from andon.store.bulk import insert_new
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


def keep(tx: Tx, *, guid: str, event: str, action: str | None, body: bytes) -> bool:
    """Stores a delivery; says whether it is new work.

    A GUID that was applied or ignored stays as it is; one that failed in us is tried again with
    the new body (github-contract section 2: a redelivery carries the same GUID).
    """
    row: dict[str, Any] = {
        "guid": guid,
        "event": event,
        "action": action,
        "received_at": tx.now,
        "state": "stored",
        "body": body,
    }
    new = bool(insert_new(tx.connection, deliveries, [row]))
    if not new:
        revived = tx.connection.execute(
            update(deliveries)
            .where(deliveries.c.guid == guid, deliveries.c.state == "failed")
            .values(state="stored", reason=None, attempts=0, body=body, received_at=tx.now)
        )
        new = revived.rowcount > 0
    if new:
        tx.nudges.add("deliveries")
    return new


def to_apply(connection: Connection, limit: int) -> list[Delivery]:
    """The oldest deliveries that wait, in the order they came."""
    rows = connection.execute(
        select(deliveries.c.seq, deliveries.c.guid, deliveries.c.event, deliveries.c.body, deliveries.c.attempts)
        .where(TO_APPLY)
        .order_by(deliveries.c.seq)
        .limit(limit)
    )
    return [
        Delivery(seq=row.seq, guid=row.guid, event=row.event, body=row.body or b"", attempts=row.attempts)
        for row in rows
    ]


def finish(tx: Tx, delivery: Delivery, *, state: str, reason: str | None) -> None:
    """Marks a delivery applied, ignored or failed; the raw body of a failed one is kept."""
    values: dict[str, Any] = {"state": state, "reason": reason, "attempts": delivery.attempts + 1}
    if state != "failed":
        values["body"] = None
    tx.connection.execute(update(deliveries).where(deliveries.c.seq == delivery.seq).values(values))


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
