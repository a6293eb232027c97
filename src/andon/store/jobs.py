"""Jobs and runs as GitHub tells them: reading and saving. What news means is `apply_news`."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, text, update

from andon.model.config import Pool
from andon.model.job_states import JobStatus
from andon.model.journal import Entry
from andon.model.news import RunNews
from andon.model.nouns import Job, Run
from andon.rules.dispatch import WaitingJob
from andon.rules.pools import pool_for
from andon.store.columns import from_micros
from andon.store.prepared import Prepared, Records, listed, values_of
from andon.store.rows import changed_columns, to_columns, to_struct
from andon.store.schema import LIVE_CLAIM, NOT_OVER, QUEUED, RUN_UNKNOWN, claims, jobs, runs
from andon.store.transaction import Tx
from andon.store.upsert import upsert

# Made once: these run with every piece of news.
_JOB = Records(select(jobs).where(jobs.c.id == bindparam("id")), Job)
_RUN = Records(select(runs).where(runs.c.id == bindparam("id"), runs.c.attempt == bindparam("attempt")), Run)
_INSERT_JOB = Prepared(insert(jobs).values({column.name: bindparam(column.name) for column in jobs.columns}))
_TELL_ORIGIN = Prepared(
    update(jobs)
    .where(jobs.c.run_id == bindparam("run"), jobs.c.attempt == bindparam("of_attempt"), jobs.c.fork.is_(None))
    .values(fork=bindparam("fork"))
)
_UNFINISHED = Prepared(select(jobs.c.repository, jobs.c.run_id, jobs.c.attempt).where(NOT_OVER).distinct())


@lru_cache(maxsize=128)
def _update_job(columns: tuple[str, ...]) -> Prepared:
    changes: dict[str, Any] = {name: bindparam(name) for name in columns}
    return Prepared(update(jobs).where(jobs.c.id == bindparam("job")).values(changes))


@lru_cache(maxsize=64)
def _in_progress_on(count: int) -> Prepared:
    in_progress = jobs.c.status == JobStatus.IN_PROGRESS.value
    return Prepared(
        select(jobs.c.runner_name).where(NOT_OVER, in_progress, jobs.c.runner_name.in_(listed("name", count)))
    )


def get_job(connection: Connection, job_id: int) -> Job | None:
    """The job, or None when we do not know it."""
    return _JOB.struct(connection, id=job_id)


def get_jobs(connection: Connection, job_ids: Sequence[int]) -> dict[int, Job]:
    """The jobs that we know among these."""
    rows = connection.execute(select(jobs).where(jobs.c.id.in_(job_ids))).mappings()
    return {row["id"]: to_struct(row, Job) for row in rows}


def save_job(tx: Tx, before: Job | None, after: Job) -> None:
    """Inserts or updates; the writer is alone, so what was read in this transaction still stands."""
    if before is None:
        _INSERT_JOB.run(tx.connection, **to_columns(after))
    elif changes := changed_columns(before, after):
        _update_job(tuple(changes)).run(tx.connection, job=after.id, **changes)


def get_run(connection: Connection, run_id: int, attempt: int) -> Run | None:
    """One attempt of a run, or None when we do not know it."""
    return _RUN.struct(connection, id=run_id, attempt=attempt)


def save_run(tx: Tx, news: RunNews) -> Run | None:
    """Keeps what GitHub said of a run's attempt; late news never reopens one. Gives the old row."""
    before = get_run(tx.connection, news.id, news.attempt)
    status, conclusion = news.status, news.conclusion
    if before is not None and before.status == "completed" and status != "completed":
        status, conclusion = before.status, before.conclusion
    row: dict[str, Any] = {
        "id": news.id,
        "attempt": news.attempt,
        "repository": news.repository,
        "workflow": news.workflow,
        "event": news.event,
        "branch": news.branch,
        "sha": news.sha,
        "status": status,
        "conclusion": conclusion,
        "fork": news.fork,
        "observed_at": tx.now,
    }
    upsert(tx.connection, runs, row, key=("id", "attempt"))
    _TELL_ORIGIN.run(tx.connection, run=news.id, of_attempt=news.attempt, fork=news.fork)
    return before


def jobs_of_run(connection: Connection, run_id: int, attempt: int | None = None) -> list[Job]:
    """The jobs of a run, of one attempt or of all."""
    query = select(jobs).where(jobs.c.run_id == run_id).order_by(jobs.c.id)
    if attempt is not None:
        query = query.where(jobs.c.attempt == attempt)
    return [to_struct(row, Job) for row in connection.execute(query).mappings()]


def runners_in_progress(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of the runners that a job in progress names."""
    if not names:
        return set()
    rows = _in_progress_on(len(names)).all(connection, **values_of("name", names))
    return {name for (name,) in rows}


def unfinished(connection: Connection) -> list[tuple[str, int, int]]:
    """(repository, run, attempt) of every job that has not completed, as far as we know."""
    return [(repository, run, attempt) for repository, run, attempt in _UNFINISHED.all(connection)]


_no_live_claim = ~(select(claims.c.id).where(claims.c.job_id == jobs.c.id, LIVE_CLAIM).exists())


def waiting_counts(connection: Connection) -> list[tuple[str, str, int]]:
    """(pool, owner, how many) of queued jobs without a live claim."""
    rows = connection.execute(
        select(jobs.c.pool, jobs.c.owner, func.count())
        .where(QUEUED, jobs.c.pool.is_not(None), _no_live_claim)
        .group_by(jobs.c.pool, jobs.c.owner)
    )
    return [(row[0], row[1], row[2]) for row in rows]


# Raw on purpose: this statement runs in every round of dispatch, and types of columns would cost
# more than the database does. Instants are microseconds here (store.columns).
_OLDEST_WAITING = """
    WITH RECURSIVE waiting(owner) AS (
        SELECT min(owner) FROM jobs WHERE status = 'queued' AND pool = :pool
        UNION ALL
        SELECT (SELECT min(jobs.owner) FROM jobs
                WHERE jobs.status = 'queued' AND jobs.pool = :pool AND jobs.owner > waiting.owner)
        FROM waiting WHERE waiting.owner IS NOT NULL
    )
    SELECT jobs.id, jobs.repository, jobs.owner, jobs.pool, jobs.run_id, jobs.attempt,
           coalesce(jobs.queued_at, jobs.created_at) AS since, jobs.fork, jobs.name,
           EXISTS (SELECT 1 FROM claims WHERE claims.job_id = jobs.id AND {given_up}) AS again
    FROM waiting
    JOIN jobs ON jobs.id IN (
        SELECT oldest.id FROM jobs AS oldest
        WHERE oldest.status = 'queued' AND oldest.pool = :pool AND oldest.owner = waiting.owner
          AND {conditions}
        ORDER BY oldest.queued_at, oldest.id
        LIMIT :each
    )
    ORDER BY since, jobs.id
    LIMIT :most
    """
_UNCLAIMED = f"NOT EXISTS (SELECT 1 FROM claims WHERE claims.job_id = oldest.id AND claims.{LIVE_CLAIM.text})"
GIVEN_UP = "claims.state = 'released' AND claims.runner_id IS NOT NULL"
"""Claims whose runner was made, and did not serve."""
_TRUSTED = {"any": (), "no-forks": ("NOT oldest.fork",)}


@lru_cache(maxsize=64)
def _oldest_waiting(trust: str, trusted: int, owners: int, repositories: int, *, only: bool) -> Prepared:
    """The statement for so many names of each kind, and no more conditions than there is something to ask for:
    each costs every row."""
    conditions = [_UNCLAIMED, *_TRUSTED.get(trust, ("NOT oldest.fork",))]
    if trust not in _TRUSTED:
        conditions.append(f"lower(oldest.repository) IN ({_places('trusted', trusted)})")
    if only:
        conditions.append("oldest.owner = :of_owner AND oldest.repository = :of_repository")
    if owners:
        conditions.append(f"oldest.owner NOT IN ({_places('owner', owners)})")
    if repositories:
        conditions.append(f"oldest.repository NOT IN ({_places('repository', repositories)})")
    return Prepared(text(_OLDEST_WAITING.format(conditions=" AND ".join(conditions), given_up=GIVEN_UP)))


def _places(name: str, count: int) -> str:
    return ", ".join(f":{place.key}" for place in listed(name, count))


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """Whose jobs of a pool are left alone for now."""

    owners: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()


def oldest_waiting(
    connection: Connection,
    pool: Pool,
    each: int,
    paused: Paused,
    *,
    slack: int = 0,
    of: tuple[str, str] | None = None,
) -> list[WaitingJob]:
    """Queued jobs that the pool takes, without a live claim, oldest first: the `each + slack` oldest among the
    `each` oldest of every owner. `slack`: how many jobs that must wait can stand before ones that need not.
    `of`: only of this owner and repository.

    What the pool does not trust, or not yet, is left out here and not later: otherwise enough old
    jobs that cannot be placed would hide the ones that can (R19).
    """
    parameters: dict[str, Any] = {"pool": pool.name, "each": each, "most": each + slack}
    trusted = () if pool.trust in _TRUSTED else tuple(name.lower() for name in pool.repositories)
    parameters |= values_of("trusted", trusted)
    parameters |= values_of("owner", paused.owners)
    parameters |= values_of("repository", paused.repositories)
    if of is not None:
        parameters |= {"of_owner": of[0], "of_repository": of[1]}
    names = (len(trusted), len(paused.owners), len(paused.repositories))
    statement = _oldest_waiting(pool.trust, *names, only=of is not None)
    rows = statement.all(connection, **parameters)
    places = _given_up(connection, [row[0] for row in rows if row[-1]])
    return [
        WaitingJob(
            id=job_id,
            repository=repository,
            owner=owner,
            pool=of_pool,
            run_id=run_id,
            attempt=attempt,
            queued_at=from_micros(queued_at),
            fork=bool(fork),
            name=name,
            given_up=tuple(places.get(job_id, ())),
        )
        for job_id, repository, owner, of_pool, run_id, attempt, queued_at, fork, name, _ in rows
    ]


@lru_cache(maxsize=64)
def _places_given_up(count: int) -> Prepared:
    ids = ", ".join(f":{place.key}" for place in listed("job", count))
    return Prepared(
        text(
            f"SELECT job_id, host, slot, count(*) FROM claims WHERE job_id IN ({ids}) AND {GIVEN_UP} "
            "GROUP BY job_id, host, slot ORDER BY job_id, host, slot"
        )
    )


def _given_up(connection: Connection, job_ids: Sequence[int]) -> dict[int, list[tuple[str, int, int]]]:
    """By job, where runners made for it were given up, and how often. Without jobs nothing is asked."""
    found: dict[int, list[tuple[str, int, int]]] = {}
    if job_ids:
        for job_id, host, slot, times in _places_given_up(len(job_ids)).all(connection, **values_of("job", job_ids)):
            found.setdefault(job_id, []).append((host, slot, times))
    return found


class UnknownRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has demand and was not told of yet."""

    repository: str
    run_id: int
    attempt: int
    job_id: int


_UNKNOWN_RUNS = Records(
    select(jobs.c.repository, jobs.c.run_id, jobs.c.attempt, func.min(jobs.c.id).label("job_id"))
    .where(RUN_UNKNOWN, jobs.c.pool == bindparam("pool"))
    .group_by(jobs.c.pool, jobs.c.run_id, jobs.c.attempt, jobs.c.repository)
    .limit(bindparam("most")),
    UnknownRun,
)


def unknown_runs(connection: Connection, pool: str, most: int) -> list[UnknownRun]:
    """Runs of the pool's queued jobs whose event and origin are not known."""
    return _UNKNOWN_RUNS.structs(connection, pool=pool, most=most)


def oldest_queued_at(connection: Connection) -> dict[str, datetime]:
    """By pool, since when its oldest unclaimed queued job waits: a signal that needs no success (R84)."""
    rows = connection.execute(
        select(jobs.c.pool, func.min(jobs.c.queued_at, type_=jobs.c.queued_at.type))
        .where(QUEUED, jobs.c.pool.is_not(None), _no_live_claim)
        .group_by(jobs.c.pool)
    )
    return {row[0]: row[1] for row in rows if row[1] is not None}


def assign_pools(tx: Tx, pools: Sequence[Pool]) -> int:
    """Fits every unfinished job to the pools of the present configuration; counts the changes."""
    changed = 0
    rows = tx.connection.execute(select(jobs.c.id, jobs.c.labels, jobs.c.pool).where(NOT_OVER)).all()
    for row in rows:
        pool = pool_for(tuple(row.labels), pools)
        if pool != row.pool:
            tx.connection.execute(update(jobs).where(jobs.c.id == row.id).values(pool=pool))
            tx.record(
                Entry(
                    actor="operator",
                    kind="job.pool_changed",
                    subject_kind="job",
                    subject_id=str(row.id),
                    reason=f"the configuration gives its labels to pool {pool or 'none'} now",
                    evidence={"before": row.pool, "now": pool},
                    job_id=row.id,
                )
            )
            changed += 1
    return changed
