"""What is due to be asked about at GitHub: claims in doubt with what we believe of their jobs, and removals."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, or_, select

from andon.model.claim_states import ClaimState
from andon.model.job_states import JobStatus
from andon.model.nouns import Claim
from andon.rules.lookups import Suspect
from andon.store.rows import to_struct
from andon.store.schema import PENDING, claims, jobs, outbox


def due_suspects(connection: Connection, now: datetime, most: int, *, first: str) -> list[Suspect]:
    """At most `most`, the longest due first; the claim `first` leads them, whenever it is due."""
    # Two columns of a join may have one name; jobs' get names of their own.
    of_job = (jobs.c.repository, jobs.c.run_id, jobs.c.attempt, jobs.c.status)
    rows = connection.execute(
        select(claims, *(column.label(f"job_{column.name}") for column in of_job))
        .select_from(claims)
        .join(outbox, and_(outbox.c.subject == claims.c.id, outbox.c.kind == "resolve_claim", PENDING))
        .outerjoin(jobs, jobs.c.id == claims.c.job_id)
        .where(claims.c.state == ClaimState.ORPHANED.value, or_(outbox.c.not_before <= now, outbox.c.subject == first))
        .order_by(case((claims.c.id == first, 0), else_=1), outbox.c.not_before, outbox.c.id)
        .limit(most)
    ).mappings()
    found: dict[str, Suspect] = {}
    for row in rows:
        known = row["job_run_id"] is not None
        run = (row["job_repository"], row["job_run_id"], row["job_attempt"]) if known else None
        status = JobStatus(row["job_status"]) if known else None
        found.setdefault(row["id"], Suspect(claim=to_struct(row, Claim), run=run, status=status))
    return list(found.values())


MOST_REMOVALS = 1000
"""More need not be known to see that one list costs less than a look at each."""


def due_removals(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    """What the due removals of registrations name: `owner`, `repository`, `name`."""
    query = (
        select(outbox.c.payload)
        .where(PENDING, outbox.c.kind == "retire_runner", outbox.c.not_before <= now)
        .order_by(outbox.c.not_before, outbox.c.id)
        .limit(MOST_REMOVALS)
    )
    return list(connection.execute(query).scalars())
