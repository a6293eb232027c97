"""What the sweep asks of the store: which runs it need not read again, and since when it has news."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, func, select, tuple_

from andon.model.claim_states import ClaimState
from andon.store.schema import LIVE_CLAIM, claims, runs


def known_as_over(connection: Connection, keys: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of the (run, attempt) whose end we know."""
    if not keys:
        return set()
    rows = connection.execute(
        select(runs.c.id, runs.c.attempt).where(
            tuple_(runs.c.id, runs.c.attempt).in_(list(keys)), runs.c.status == "completed"
        )
    )
    return {(row.id, row.attempt) for row in rows}


def busy_runners(connection: Connection) -> frozenset[str]:
    """Names of our runners that have a job: their agents tell when they end."""
    busy = claims.c.state == ClaimState.BUSY.value
    rows = connection.execute(select(claims.c.runner_name).where(LIVE_CLAIM, busy, claims.c.ended_at.is_(None)))
    return frozenset(rows.scalars())


def last_news(connection: Connection) -> dict[str, datetime]:
    """By repository, when we last heard of one of its runs, from any source."""
    rows = connection.execute(
        select(runs.c.repository, func.max(runs.c.observed_at, type_=runs.c.observed_at.type)).group_by(
            runs.c.repository
        )
    )
    return {row[0]: row[1] for row in rows}
