"""Removes rows that are over and old, a small window of a table at a time (R15).

Tables are walked by their primary key, whose order is about that of their age, so that no index is
kept for it; the walk ends at the first window that holds nothing old. Small tables that are keyed by
name are walked to their end. SQLite uses the freed pages
again: its file stops growing, and is not made smaller.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, Table, and_, delete, exists, func, select, true, tuple_

from andon.model.claim_states import LIVE
from andon.store.schema import (
    NOT_CLOSED,
    NOT_OVER,
    claims,
    deletions,
    deliveries,
    disk_samples,
    growth,
    growth_samples,
    incidents,
    jobs,
    journal,
    outbox,
    pauses,
    registrations,
    runs,
)
from andon.store.transaction import Tx

_live = claims.c.state.in_(sorted(state.value for state in LIVE))


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How one table is walked."""

    table: Table
    key: tuple[Column[Any], ...]
    at: ColumnElement[datetime]
    """When the row last mattered."""
    over: ColumnElement[bool]
    """Whether nothing open needs the row."""
    by_age: bool = True
    """The order of the key is about that of age."""


_PLANS: Mapping[str, _Plan] = {
    "deliveries": _Plan(
        table=deliveries,
        key=(deliveries.c.seq,),
        at=deliveries.c.received_at,
        over=deliveries.c.state != "stored",
    ),
    "outbox": _Plan(
        table=outbox,
        key=(outbox.c.id,),
        at=func.coalesce(outbox.c.done_at, outbox.c.created_at, type_=outbox.c.created_at.type),
        over=outbox.c.state != "pending",
    ),
    "claims": _Plan(table=claims, key=(claims.c.id,), at=claims.c.since, over=~_live),
    "jobs": _Plan(
        table=jobs,
        key=(jobs.c.id,),
        at=jobs.c.observed_at,
        over=and_(~NOT_OVER, ~exists().where(claims.c.job_id == jobs.c.id, _live)),
    ),
    "runs": _Plan(
        table=runs,
        key=(runs.c.id, runs.c.attempt),
        at=runs.c.observed_at,
        over=~exists().where(jobs.c.run_id == runs.c.id, jobs.c.attempt == runs.c.attempt),
    ),
    "journal": _Plan(
        table=journal,
        key=(journal.c.id,),
        at=journal.c.at,
        over=and_(
            # A job's story goes with the job, not before it.
            ~exists().where(jobs.c.id == journal.c.job_id),
            ~and_(journal.c.subject_kind == "claim", exists().where(claims.c.id == journal.c.subject_id, _live)),
        ),
    ),
    "incidents": _Plan(table=incidents, key=(incidents.c.id,), at=incidents.c.since, over=~NOT_CLOSED),
    "registrations": _Plan(
        table=registrations,
        key=(registrations.c.owner, registrations.c.repository, registrations.c.name),
        at=registrations.c.read_at,
        over=true(),
        by_age=False,
    ),
    "disk_samples": _Plan(
        table=disk_samples,
        key=(disk_samples.c.at, disk_samples.c.host, disk_samples.c.mount),
        at=disk_samples.c.at,
        over=true(),
    ),
    # By our clock: a host's own may have been set.
    "deletions": _Plan(table=deletions, key=(deletions.c.seq,), at=deletions.c.told_at, over=true()),
    "growth_samples": _Plan(
        table=growth_samples,
        key=(growth_samples.c.at, growth_samples.c.host, growth_samples.c.lease),
        at=growth_samples.c.at,
        over=true(),
    ),
    "growth": _Plan(
        table=growth,
        key=(growth.c.pool, growth.c.repository, growth.c.job_key),
        at=growth.c.learnt_at,
        over=true(),
        by_age=False,
    ),
    "pauses": _Plan(
        table=pauses,
        key=(pauses.c.owner, pauses.c.repository, pauses.c.pool),
        at=pauses.c.until,
        over=true(),
        by_age=False,
    ),
}
TABLES: frozenset[str] = frozenset(_PLANS)
"""Tables that can be pruned."""

Key = tuple[Any, ...]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one window gave."""

    removed: int
    after: Key | None
    """Where to go on; None: nothing old lies beyond, as far as the key tells."""


def prune(tx: Tx, table: str, *, before: datetime, after: Key | None, window: int) -> Step:
    """Looks at the next `window` rows beyond `after`; removes those older than `before` that are over."""
    plan = _PLANS[table]
    query = select(*plan.key, plan.at, plan.over).order_by(*plan.key).limit(window)
    if after is not None:
        query = query.where(_beyond(plan.key, after))
    rows = [tuple(row) for row in tx.connection.execute(query)]
    width = len(plan.key)
    old = [row for row in rows if row[width] < before]
    over = [row[:width] for row in old if row[width + 1]]
    removed = 0
    if over:
        # Asked again in the same breath: what was revived meanwhile by somebody else stays.
        gone = tx.connection.execute(delete(plan.table).where(_among(plan.key, over), plan.over))
        removed = gone.rowcount
    more = (bool(old) or not plan.by_age) and len(rows) == window
    return Step(removed=removed, after=rows[-1][:width] if more else None)


def _beyond(key: Sequence[Column[Any]], after: Key) -> ColumnElement[bool]:
    return key[0] > after[0] if len(key) == 1 else tuple_(*key) > after


def _among(key: Sequence[Column[Any]], keys: Sequence[Key]) -> ColumnElement[bool]:
    return key[0].in_([each[0] for each in keys]) if len(key) == 1 else tuple_(*key).in_(keys)
