"""Reading the journal; writing it is part of every transaction (`transaction.Tx.record`)."""

from typing import Any

from sqlalchemy import Connection, Row, select

from andon.model.journal import Entry, Line
from andon.store.schema import journal


def _line(row: Row[Any]) -> Line:
    entry = Entry(
        actor=row.actor,
        kind=row.kind,
        subject_kind=row.subject_kind,
        subject_id=row.subject_id,
        generation=row.generation,
        from_state=row.from_state,
        to_state=row.to_state,
        reason=row.reason,
        mode=row.mode,
        evidence=row.evidence,
        job_id=row.job_id,
        host=row.host,
    )
    return Line(id=row.id, at=row.at, entry=entry)


def story_of_job(connection: Connection, job_id: int, limit: int = 1000) -> list[Line]:
    """Everything that happened to a job, in order (R16)."""
    rows = connection.execute(select(journal).where(journal.c.job_id == job_id).order_by(journal.c.seq).limit(limit))
    return [_line(row) for row in rows]


def newest(connection: Connection, limit: int, *, before: str | None = None, host: str | None = None) -> list[Line]:
    """The newest lines, newest first; `before` is the id to go on from."""
    query = select(journal).order_by(journal.c.seq.desc()).limit(limit)
    if before is not None:
        from_there = select(journal.c.seq).where(journal.c.id == before).scalar_subquery()
        query = query.where(journal.c.seq < from_there)
    if host is not None:
        query = query.where(journal.c.host == host)
    return [_line(row) for row in connection.execute(query)]
