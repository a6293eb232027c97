"""What GitHub is asked to send again: once for each GUID, for ever (R5).

The memory of it is the act's idempotency key, which is kept for longer than GitHub lists a delivery
(rules.retention). A delivery that is known from GitHub's log only has a row without a body.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select, true, update

from andon.model.delivery_states import NOT_HERE, DeliveryState
from andon.model.journal import Entry
from andon.rules.doctor_hook import SentTry
from andon.store import outbox as acts
from andon.store.bulk import insert_new
from andon.store.outbox import Act
from andon.store.rails import HELD
from andon.store.schema import PENDING, deliveries, outbox
from andon.store.transaction import Tx

KIND = "redeliver"
_MANY = 500
"""GUIDs of one question."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery to be asked for, and whose log it stands in."""

    sent: SentTry
    payload: dict[str, Any]


def _key(guid: str) -> str:
    return f"{KIND}:{guid}"


def states(connection: Connection, guids: Collection[str]) -> dict[str, str]:
    """Our state of each delivery that has a row."""
    found: dict[str, str] = {}
    for some in _parts(guids):
        rows = connection.execute(select(deliveries.c.guid, deliveries.c.state).where(deliveries.c.guid.in_(some)))
        found.update({row.guid: row.state for row in rows})
    return found


def accounted_for(connection: Connection, guids: Collection[str]) -> set[str]:
    """Those that are here, or were asked for at any time."""
    found = {guid for guid, state in states(connection, guids).items() if state not in NOT_HERE}
    for some in _parts(guids):
        keys = {_key(guid): guid for guid in some}
        rows = connection.execute(select(outbox.c.idempotency_key).where(outbox.c.idempotency_key.in_(list(keys))))
        found.update(keys[key] for key in rows.scalars())
    return found


def waiting(connection: Connection) -> int:
    """How many requests wait to be made; those that only wait for their rail to act take nobody's room."""
    held = outbox.c.result == HELD
    query = select(func.count()).select_from(outbox).where(PENDING, outbox.c.kind == KIND, func.coalesce(~held, true()))
    return connection.execute(query).scalar_one()


def order(tx: Tx, orders: Sequence[Order]) -> int:
    """Orders one request for each that is not accounted for; says how many those were."""
    done = accounted_for(tx.connection, [each.sent.guid for each in orders])
    new = [each for each in orders if each.sent.guid not in done]
    rows: list[dict[str, Any]] = [
        {
            "guid": each.sent.guid,
            "event": each.sent.event,
            "action": each.sent.action,
            "received_at": each.sent.at,
            "state": DeliveryState.NEVER_SEEN.value,
            "reason": f"GitHub was answered {each.sent.code}",
            "attempts": 0,
        }
        for each in new
    ]
    insert_new(tx.connection, deliveries, rows)
    for each in new:
        tx.order(KIND, key=_key(each.sent.guid), subject=each.sent.guid, payload=each.payload)
    return len(new)


def still_missing(tx: Tx, act: Act) -> bool:
    """Whether the delivery has not arrived meanwhile; if it has, the act is over."""
    state = states(tx.connection, [act.subject]).get(act.subject)
    if state is None or state in NOT_HERE:
        return True
    acts.finish(tx, act, result="it arrived meanwhile")
    return False


def asked(tx: Tx, act: Act, reason: str) -> None:
    """Closes the act: GitHub took the request."""
    if not acts.finish(tx, act, result=reason):
        return
    tx.connection.execute(
        update(deliveries)
        .where(deliveries.c.guid == act.subject, deliveries.c.state == DeliveryState.NEVER_SEEN.value)
        .values(state=DeliveryState.REQUESTED.value, reason=reason)
    )
    tx.record(
        Entry(
            actor="loop:redelivery",
            kind="delivery.requested",
            subject_kind="delivery",
            subject_id=act.subject,
            from_state=DeliveryState.NEVER_SEEN.value,
            to_state=DeliveryState.REQUESTED.value,
            reason="no try of it succeeded by GitHub's log, and it is not here: GitHub was asked to send it again",
            evidence=act.payload,
        )
    )


def given_up(tx: Tx, act: Act, reason: str) -> None:
    """Closes the act without a request: the delivery cannot be had any more."""
    if acts.finish(tx, act, result=reason, failed=True):
        tx.connection.execute(
            update(deliveries)
            .where(deliveries.c.guid == act.subject, deliveries.c.state == DeliveryState.NEVER_SEEN.value)
            .values(reason=reason)
        )


def _parts(guids: Collection[str]) -> Iterator[list[str]]:
    listed = sorted(guids)
    for start in range(0, len(listed), _MANY):
        yield listed[start : start + _MANY]
