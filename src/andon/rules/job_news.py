"""Merges what GitHub says of a job into what we know of it (R3).

News comes late, twice and out of order; every order must end in the same job. So this is a
"greatest of all that was heard": further along wins; among statuses before the start the later
one wins by GitHub's own time; a field that only a later status can know is taken from the furthest
news that has it.
"""

from datetime import datetime
from typing import Literal

import msgspec

from andon.model.job_states import RANK, JobStatus
from andon.model.news import JobNews
from andon.model.nouns import Job


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """The job after the news."""

    job: Job
    was: JobStatus | None
    """The status before; None for a job that is new to us."""
    ask: bool
    """Queued or waiting, and nothing tells which came later: the API has to be asked."""


def merge(job: Job | None, news: JobNews, *, owner: str, pool: str | None, now: datetime) -> Merged:
    """The job as it is known after `news`. `now` is only used for `observed_at` and `queued_at`."""
    if job is None:
        return Merged(job=_first(news, owner=owner, pool=pool, now=now), was=None, ask=False)
    standing = _compare(job, news)
    if standing == "newer":
        after = msgspec.structs.replace(
            job,
            status=news.status,
            conclusion=news.conclusion if news.status is JobStatus.COMPLETED else None,
            started_at=_started(news) or job.started_at,
            completed_at=news.completed_at if news.status is JobStatus.COMPLETED else None,
            runner_id=news.runner_id or job.runner_id,
            runner_name=news.runner_name or job.runner_name,
            order_at=news.order_at or job.order_at,
        )
    else:
        own_word = job.status is JobStatus.COMPLETED and job.completed_at is None and news.completed_at is not None
        later = standing == "same" and (job.order_at is None or (news.order_at or job.order_at) > job.order_at)
        after = msgspec.structs.replace(
            job,
            # Closed with its run's conclusion (R7), until the job's own word comes.
            conclusion=news.conclusion if own_word else job.conclusion,
            completed_at=news.completed_at if own_word else job.completed_at,
            started_at=job.started_at or _started(news),
            runner_id=job.runner_id or news.runner_id,
            runner_name=job.runner_name or news.runner_name,
            order_at=news.order_at if later else job.order_at,
        )
    after = msgspec.structs.replace(
        after,
        workflow=after.workflow or news.workflow,
        branch=after.branch or news.branch,
        queued_at=_earliest(after.queued_at, news.created_at if news.status is JobStatus.QUEUED else None),
        observed_at=now,
    )
    return Merged(job=after, was=job.status, ask=standing == "unclear")


def _compare(job: Job, news: JobNews) -> Literal["newer", "same", "older", "unclear"]:
    have, heard = RANK[job.status], RANK[news.status]
    if heard != have:
        return "newer" if heard > have else "older"
    if job.status is news.status:
        return "same"
    # Queued against waiting or pending: only GitHub's own time can tell, or GitHub itself when asked.
    asked = news.source.startswith("api:")
    if job.order_at is None or news.order_at is None or job.order_at == news.order_at:
        return "newer" if asked else "unclear"
    return "newer" if news.order_at > job.order_at else "older"


def _started(news: JobNews) -> datetime | None:
    """GitHub fills `started_at` with the time of creation while a job still waits: not a start."""
    return news.started_at if RANK[news.status] > 0 else None


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _first(news: JobNews, *, owner: str, pool: str | None, now: datetime) -> Job:
    done = news.status is JobStatus.COMPLETED
    return Job(
        id=news.id,
        repository=news.repository,
        owner=owner,
        run_id=news.run_id,
        attempt=news.attempt,
        name=news.name,
        workflow=news.workflow,
        branch=news.branch,
        sha=news.sha,
        labels=news.labels,
        pool=pool,
        status=news.status,
        conclusion=news.conclusion if done else None,
        created_at=news.created_at,
        queued_at=news.created_at if news.status is JobStatus.QUEUED else None,
        started_at=_started(news),
        completed_at=news.completed_at if done else None,
        runner_id=news.runner_id,
        runner_name=news.runner_name,
        order_at=news.order_at,
        observed_at=now,
    )
