"""Applies what GitHub said of jobs and runs: the job's row, its journal, and what follows for claims.

One transaction an event. What the news means is decided by `rules.job_news`; here it is written
down, and claims follow: GitHub's word is the only thing that binds a job to a runner (R21).
"""

from datetime import timedelta
from typing import Any

import msgspec

from andon.model.claim_states import LIVE, ClaimEvent, ClaimState
from andon.model.config import Config
from andon.model.host_states import HostObserved
from andon.model.job_states import JobStatus
from andon.model.journal import Entry
from andon.model.news import Ignored, JobNews, RunNews
from andon.model.nouns import Claim, Job
from andon.model.rails import Rail
from andon.rules.job_news import merge
from andon.rules.limits import AFTER_THE_JOB, job_limit
from andon.rules.names import canonical_repository
from andon.rules.pools import is_ours, pool_for
from andon.store import claims, hosts, jobs, workspaces
from andon.store.claims import Change, advance
from andon.store.columns import to_micros
from andon.store.doubt import doubt
from andon.store.rail_gate import mode_of
from andon.store.transaction import Tx

END_IS_LOST = timedelta(minutes=1)
"""How long a slot is kept for the report of an end whose process its host does not show any more."""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """The job after the news, and whether anything changed."""

    job: Job
    changed: bool


def apply_run_news(tx: Tx, news: RunNews, config: Config) -> None:
    """Keeps the run; jobs that waited for its event and origin can be placed now."""
    news = msgspec.structs.replace(news, repository=canonical_repository(config, news.repository))
    before = jobs.save_run(tx, news)
    if before is None:
        tx.nudges.add("dispatch")
    if before is not None and before.status in (news.status, "completed"):
        # Late news of a run that is over changes nothing.
        return
    if news.status == JobStatus.COMPLETED.value:
        workspaces.wake_hosts_of_run(tx, news.id)
    tx.record(
        Entry(
            actor="github",
            kind=f"run.{news.status}",
            subject_kind="run",
            subject_id=f"{news.id}/{news.attempt}",
            from_state=before.status if before else None,
            to_state=news.status,
            reason=f"GitHub said so ({news.source})",
            evidence={"event": news.event, "fork": news.fork, "conclusion": news.conclusion},
        )
    )


def apply_job_news(tx: Tx, news: JobNews, config: Config) -> Applied | Ignored:
    """Merges the news into the job and lets its claims follow; Ignored when the job is not ours."""
    news = msgspec.structs.replace(news, repository=canonical_repository(config, news.repository))
    before = jobs.get_job(tx.connection, news.id)
    if before is None and not is_ours(news.labels, config.pool):
        return Ignored(reason="not_our_label", detail=", ".join(news.labels))
    merged = merge(
        before, news, owner=news.repository.partition("/")[0], pool=pool_for(news.labels, config.pool), now=tx.now
    )
    job = merged.job
    if job.fork is None and (run := jobs.get_run(tx.connection, job.run_id, job.attempt)) is not None:
        job = msgspec.structs.replace(job, fork=run.fork)
    jobs.save_job(tx, before, job)
    if merged.was is not job.status:
        _journal_status(tx, merged.was, job, news)
        if JobStatus.QUEUED in (merged.was, job.status):
            tx.nudges.add("dispatch")
    if merged.ask:
        tx.order(
            "learn_job",
            key=f"learn_job:{job.id}:{to_micros(tx.now)}",
            subject=str(job.id),
            payload={"repository": job.repository, "job_id": job.id},
        )
    if job.status in (JobStatus.IN_PROGRESS, JobStatus.COMPLETED):
        if before is None or before.runner_name != job.runner_name:
            _note_late_word(tx, job, news)
        _bind(tx, job, news, config)
        if job.status is JobStatus.COMPLETED and merged.was is not JobStatus.COMPLETED:
            _expect_the_end(tx, job)
        _free_other_demand(tx, job, news, config)
    elif job.status is not JobStatus.QUEUED:
        _free_other_demand(tx, job, news, config)
    return Applied(job=job, changed=before is None or merged.was is not job.status)


def close_jobs_of_lost_run(tx: Tx, run_id: int, attempt: int, config: Config) -> int:
    """Closes the open jobs of a run that GitHub does not know any more, as cancelled; counts them.

    It goes the way of any news, so claims that stand for them follow. A job's own word, should it
    ever come, still wins: this news has no time of completion.
    """
    closed = 0
    for job in jobs.jobs_of_run(tx.connection, run_id, attempt):
        if job.status is not JobStatus.COMPLETED:
            news = JobNews(
                id=job.id,
                repository=job.repository,
                run_id=run_id,
                attempt=attempt,
                name=job.name,
                workflow=job.workflow,
                branch=job.branch,
                sha=job.sha,
                labels=job.labels,
                status=JobStatus.COMPLETED,
                conclusion="cancelled",
                created_at=job.created_at,
                started_at=None,
                completed_at=None,
                runner_id=None,
                runner_name=None,
                order_at=None,
                source="api:run_is_gone",
            )
            apply_job_news(tx, news, config)
            closed += 1
    return closed


def _journal_status(tx: Tx, was: JobStatus | None, job: Job, news: JobNews) -> None:
    evidence: dict[str, Any] = {"source": news.source}
    if job.runner_name:
        evidence["runner"] = job.runner_name
    if job.conclusion:
        evidence["conclusion"] = job.conclusion
    if was is None:
        evidence["labels"] = list(job.labels)
        evidence["pool"] = job.pool
    tx.record(
        Entry(
            actor="github",
            kind=f"job.{job.status.value}",
            subject_kind="job",
            subject_id=str(job.id),
            generation=job.attempt,
            from_state=was.value if was else None,
            to_state=job.status.value,
            reason=f"GitHub said so ({news.source.partition(':')[0]})",
            evidence=evidence,
            job_id=job.id,
        )
    )


def _bind(tx: Tx, job: Job, news: JobNews, config: Config) -> None:
    """The runner that GitHub names has the job, whatever it was made for."""
    if not job.runner_name:
        return
    claim = claims.claim_of_runner(tx.connection, job.runner_name)
    if claim is None or claim.state not in LIVE:
        return
    evidence = {"source": news.source, "runner": job.runner_name}
    if claim.job_id != job.id:
        other = claims.live_claim_of_job(tx.connection, job.id)
        left = claim.job_id
        claim = claims.swap_demand(tx, claim, other, job.id, evidence=evidence)
        rest = jobs.get_job(tx.connection, left) if other is not None and left is not None else None
        if rest is not None and rest.status is not JobStatus.QUEUED:
            # What the other claim got in exchange is over, or taken, already: nobody would tell it again.
            _free_other_demand(tx, rest, news, config)
    if claim.state is ClaimState.BUSY:
        return
    gone = claim.ended_at is not None
    advance(
        tx,
        claim,
        Change(
            event=ClaimEvent.SERVED if gone and claim.state is ClaimState.ORPHANED else ClaimEvent.BOUND,
            actor="github",
            reason=f"GitHub named {job.runner_name} as the runner of job {job.id}",
            evidence=evidence,
            deadline=None if gone else tx.now + job_limit(config, job.repository),
            values={"runner_id": job.runner_id} if job.runner_id else {},
        ),
    )


def _note_late_word(tx: Tx, job: Job, news: JobNews) -> None:
    """GitHub names a runner whose claim was given back meanwhile: its process had ended, it was listed no more,
    and the job that it was made for still waited. The claim stays what it is; the job's story tells who served it."""
    claim = claims.claim_of_runner(tx.connection, job.runner_name) if job.runner_name else None
    if claim is None or claim.state is not ClaimState.RELEASED:
        return
    tx.record(
        Entry(
            actor="github",
            kind="claim.late_word",
            subject_kind="claim",
            subject_id=claim.id,
            generation=claim.generation,
            from_state=claim.state.value,
            to_state=claim.state.value,
            reason=f"GitHub named {job.runner_name} as the runner of job {job.id} after its claim was given back",
            evidence={"source": news.source, "runner": job.runner_name, "released": claim.reason},
            job_id=job.id,
            host=claim.host,
        )
    )


def _expect_the_end(tx: Tx, job: Job) -> None:
    """The job is over: its runner's process has to end soon, or the claim is looked at (R29)."""
    claim = claims.live_claim_of_job(tx.connection, job.id)
    if claim is not None and claim.state is ClaimState.BUSY:
        limit = AFTER_THE_JOB if _may_live(tx, claim) else END_IS_LOST
        claims.set_facts(tx, claim, deadline=tx.now + limit)
        tx.nudges.add("claims")


def _may_live(tx: Tx, claim: Claim) -> bool:
    """Whether its process may be there: its host shows it, or cannot be asked."""
    host = hosts.get_host(tx.connection, claim.host)
    shown = host is not None and host.observed is HostObserved.REPORTING
    return not shown or hosts.reports_claim(tx.connection, claim)


def _free_other_demand(tx: Tx, job: Job, news: JobNews, config: Config) -> None:
    """A live claim that stands for a job which needs it no more: its runner is given up, if idle."""
    claim = claims.live_claim_of_job(tx.connection, job.id)
    if claim is None or claim.state in (ClaimState.BUSY, ClaimState.ORPHANED) or _serves(claim, job):
        return
    reason = f"its demand is gone: job {job.id} is {job.status.value}" + (
        f" on {job.runner_name}" if job.runner_name else ""
    )
    evidence = {"source": news.source}
    if claim.state is ClaimState.RESERVED:
        if mode_of(tx.connection, Rail.RESCUE, config.rails.mode) != "act":
            # Its deadline comes in seconds: then the claims loop says what it would have done.
            return
        # Nothing exists at GitHub that we know of; a mint under way is undone by its executor.
        advance(tx, claim, Change(event=ClaimEvent.GIVEN_UP, actor="loop:claims", reason=reason, evidence=evidence))
    else:
        doubt(tx, claim, actor="loop:claims", reason=reason, evidence=evidence)


def _serves(claim: Claim, job: Job) -> bool:
    return job.runner_name == claim.runner_name
