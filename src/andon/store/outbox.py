"""Acts that were decided and wait to be performed; written in the transaction that decided them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, or_, select, update

from andon.store.rows import to_struct
from andon.store.schema import PENDING, outbox
from andon.store.transaction import Tx

HELD = "held back: its rail is in observe mode"
"""The `result` of an act that waits for its rail to act."""
OFF = "held back: its rail is switched off"
"""The same for a rail that is off: nothing is journalled of each act."""
CAPPED = "held back: the cap of its rail is used up"
"""The same until the next tick of the rail."""
_HELD_BACK = outbox.c.result.in_([HELD, OFF, CAPPED])


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One act. Performing it twice must do no harm: a crash can come between act and record."""

    id: str
    kind: str
    subject: str
    generation: int | None
    payload: dict[str, Any]
    attempts: int
    created_at: datetime


def due(connection: Connection, now: datetime, limit: int, leave_out: frozenset[str]) -> list[Act]:
    """Pending acts whose time has come, oldest first, without those named in `leave_out`."""
    rows = connection.execute(
        select(outbox)
        .where(PENDING, outbox.c.not_before <= now)
        .order_by(outbox.c.not_before, outbox.c.id)
        .limit(limit + len(leave_out))
    ).mappings()
    acts = [to_struct(row, Act) for row in rows if row["id"] not in leave_out]
    return acts[:limit]


def due_but(
    connection: Connection, now: datetime, limit: int, leave_out: frozenset[str], shut: Sequence[str]
) -> list[Act]:
    """As `due`, without what is held back already and of a kind that would only be held back again."""
    rows = connection.execute(
        select(outbox)
        .where(
            PENDING, outbox.c.not_before <= now, or_(outbox.c.kind.not_in(shut), outbox.c.result.is_(None), ~_HELD_BACK)
        )
        .order_by(outbox.c.not_before, outbox.c.id)
        .limit(limit + len(leave_out))
    ).mappings()
    acts = [to_struct(row, Act) for row in rows if row["id"] not in leave_out]
    return acts[:limit]


def next_due(connection: Connection, after: datetime) -> datetime | None:
    """When the next pending act beyond `after` is due."""
    return connection.execute(
        select(func.min(outbox.c.not_before, type_=outbox.c.not_before.type)).where(
            PENDING, outbox.c.not_before > after
        )
    ).scalar_one()


def finish(tx: Tx, act: Act, *, result: str, failed: bool = False) -> bool:
    """Closes an act once; False when somebody else has closed it already."""
    closed = tx.connection.execute(
        update(outbox)
        .where(outbox.c.id == act.id, outbox.c.state == "pending")
        .values(state="failed" if failed else "done", done_at=tx.now, result=result, attempts=act.attempts + 1)
    )
    return closed.rowcount == 1


def postpone(tx: Tx, act: Act, *, until: datetime, reason: str) -> None:
    """Tries again not before `until`."""
    tx.connection.execute(
        update(outbox)
        .where(outbox.c.id == act.id, outbox.c.state == "pending")
        .values(not_before=until, attempts=act.attempts + 1, result=reason)
    )


def held_because(connection: Connection, kind: str, subject: str) -> str | None:
    """What holds back a pending act for this subject; None: no rail does."""
    return connection.execute(
        select(outbox.c.result).where(PENDING, outbox.c.kind == kind, outbox.c.subject == subject, _HELD_BACK)
    ).scalar_one_or_none()


def is_pending(connection: Connection, kind: str, subject: str) -> bool:
    """Whether such an act for this subject still waits."""
    row = connection.execute(
        select(outbox.c.id).where(PENDING, outbox.c.kind == kind, outbox.c.subject == subject)
    ).first()
    return row is not None
