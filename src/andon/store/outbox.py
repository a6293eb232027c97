"""Acts that were decided and wait to be performed; written in the transaction that decided them."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, func, or_, select, update

from andon.store.prepared import Prepared, Records, listed, values_of
from andon.store.schema import PENDING, outbox
from andon.store.transaction import Tx

HELD = "held back: its rail is in observe mode"
"""The `result` of an act that waits for its rail to act."""
OFF = "held back: its rail is switched off"
"""The same for a rail that is off: nothing is journalled of each act."""
CAPPED = "held back: the cap of its rail is used up"
"""The same until the next tick of the rail."""
_HELD_BACK = or_(*(outbox.c.result == held for held in (HELD, OFF, CAPPED)))


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One act. Performing it twice must do no harm: a crash can come between act and record."""

    id: str
    kind: str
    subject: str
    generation: int | None
    payload: dict[str, Any]
    attempts: int
    created_at: datetime


# Made once: these run with every pass of the outbox, and for every act.
_DUE = Records(
    select(outbox)
    .where(PENDING, outbox.c.not_before <= bindparam("now"))
    .order_by(outbox.c.not_before, outbox.c.id)
    .limit(bindparam("most")),
    Act,
)
_NEXT_DUE = Prepared(
    select(func.min(outbox.c.not_before, type_=outbox.c.not_before.type)).where(
        PENDING, outbox.c.not_before > bindparam("after")
    )
)
_STILL_PENDING = update(outbox).where(outbox.c.id == bindparam("act"), outbox.c.state == "pending")
_FINISH = Prepared(
    _STILL_PENDING.values({name: bindparam(name) for name in ("state", "done_at", "result", "attempts")})
)
_POSTPONE = Prepared(_STILL_PENDING.values({name: bindparam(name) for name in ("not_before", "attempts", "result")}))


@lru_cache(maxsize=64)
def _due_but(shut: int) -> Records[Act]:
    open_or_new = or_(outbox.c.kind.not_in(listed("shut", shut)), outbox.c.result.is_(None), ~_HELD_BACK)
    return Records(
        select(outbox)
        .where(PENDING, outbox.c.not_before <= bindparam("now"), open_or_new)
        .order_by(outbox.c.not_before, outbox.c.id)
        .limit(bindparam("most")),
        Act,
    )


def due(connection: Connection, now: datetime, limit: int, leave_out: frozenset[str]) -> list[Act]:
    """Pending acts whose time has come, oldest first, without those named in `leave_out`."""
    acts = _DUE.structs(connection, now=now, most=limit + len(leave_out))
    return [act for act in acts if act.id not in leave_out][:limit]


def due_but(
    connection: Connection, now: datetime, limit: int, leave_out: frozenset[str], shut: Sequence[str]
) -> list[Act]:
    """As `due`, without what is held back already and of a kind that would only be held back again."""
    statement = _due_but(len(shut))
    acts = statement.structs(connection, now=now, most=limit + len(leave_out), **values_of("shut", shut))
    return [act for act in acts if act.id not in leave_out][:limit]


def next_due(connection: Connection, after: datetime) -> datetime | None:
    """When the next pending act beyond `after` is due."""
    return _NEXT_DUE.value(connection, after=after)


def finish(tx: Tx, act: Act, *, result: str, failed: bool = False) -> bool:
    """Closes an act once; False when somebody else has closed it already."""
    closed = _FINISH.run(
        tx.connection,
        act=act.id,
        state="failed" if failed else "done",
        done_at=tx.now,
        result=result,
        attempts=act.attempts + 1,
    )
    return closed == 1


def postpone(tx: Tx, act: Act, *, until: datetime, reason: str) -> None:
    """Tries again not before `until`."""
    _POSTPONE.run(tx.connection, act=act.id, not_before=until, attempts=act.attempts + 1, result=reason)


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
