"""Bodies into news: the same facts from webhooks and from the API (design.md, the road)."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from andon.github.payloads import JobEvent, JobObject, RunEvent, RunObject
from andon.model.job_states import JobStatus
from andon.model.news import Ignored, JobNews, RunNews
from andon.runtime.hostile_text import without_nul

_GREGORIAN = datetime(1582, 10, 15, tzinfo=UTC)
_STATUS = {
    "waiting": JobStatus.WAITING,
    "pending": JobStatus.PENDING,
    "queued": JobStatus.QUEUED,
    # REST only; it counts as queued (interfaces.md section 10).
    "requested": JobStatus.QUEUED,
    "in_progress": JobStatus.IN_PROGRESS,
    "completed": JobStatus.COMPLETED,
}
_job_event = msgspec.json.Decoder(JobEvent)
_run_event = msgspec.json.Decoder(RunEvent)
EVENTS = frozenset({"workflow_job", "workflow_run", "ping"})
"""Events that are understood; others are ignored with a reason (R6)."""


def guid_time(guid: str) -> datetime | None:
    """The time inside a version 1 GUID: a hint at the order of deliveries, not a promise."""
    try:
        parsed = uuid.UUID(guid)
    except ValueError:
        return None
    if parsed.version != 1:
        return None
    return _GREGORIAN + timedelta(microseconds=parsed.time // 10)


class _Acted(msgspec.Struct):
    """What is looked at before a body is stored; the rest of it is only checked to be JSON."""

    action: Any = None


_acted = msgspec.json.Decoder(_Acted)


def action_of(body: bytes) -> str | None:
    """The `action` of a body. Raises ValueError (msgspec's is one too) when the body is not JSON."""
    if not body.isascii():
        # The decoder passes over strings that nobody asked for without looking into them.
        body.decode()
    try:
        action: object = _acted.decode(body).action
    except msgspec.ValidationError:
        # No object, so no action; whether it is JSON at all is another question.
        msgspec.json.decode(body)
        return None
    return action.replace("\0", "")[:100] if isinstance(action, str) else None


def parse_delivery(event: str, guid: str, body: bytes) -> JobNews | RunNews | Ignored:
    """What a webhook says. Never raises: a body that does not fit is Ignored with the reason."""
    body = without_nul(body)
    try:
        if event == "workflow_job":
            return _from_job_event(_job_event.decode(body), guid)
        if event == "workflow_run":
            parsed = _run_event.decode(body)
            return run_news(
                parsed.workflow_run,
                parsed.repository.full_name,
                f"webhook:{guid}",
                action=parsed.action,
                home=parsed.repository.id,
            )
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
        # OverflowError: a time at the edge of the calendar, with a zone that leads over it.
        return Ignored(reason="not_understood", detail=str(error))
    if event == "ping":
        return Ignored(reason="ping", detail="GitHub tried the hook")
    return Ignored(reason="event_not_used", detail=event)


def _from_job_event(parsed: JobEvent, guid: str) -> JobNews | Ignored:
    job = parsed.workflow_job
    # Real payloads: action "queued" with status "waiting", so the status speaks; but an action that
    # is further along than a stale status is believed.
    status = _STATUS.get(job.status)
    action = _STATUS.get(parsed.action)
    if action in (JobStatus.IN_PROGRESS, JobStatus.COMPLETED) and status is not JobStatus.COMPLETED:
        status = action
    if status is None:
        return Ignored(reason="unknown_status", detail=f"action {parsed.action}, status {job.status}")
    at = parsed.deployment.updated_at if parsed.deployment else None
    return _job_news(job, parsed.repository.full_name, status, at or guid_time(guid), f"webhook:{guid}")


def job_status(word: str) -> JobStatus | None:
    """GitHub's word for a job's state as one of ours; None for one that we do not know."""
    return _STATUS.get(word)


def job_news(job: JobObject, repository: str, *, at: datetime | None, source: str) -> JobNews | Ignored:
    """What the jobs API says; `at` is GitHub's time of the answer."""
    status = _STATUS.get(job.status)
    if status is None:
        return Ignored(reason="unknown_status", detail=job.status)
    return _job_news(job, repository, status, at, source)


def _job_news(
    job: JobObject, repository: str, status: JobStatus, at: datetime | None, source: str
) -> JobNews | Ignored:
    created = job.created_at or job.started_at
    if created is None:
        return Ignored(reason="not_understood", detail="a job without created_at and started_at")
    return JobNews(
        id=job.id,
        repository=repository,
        run_id=job.run_id,
        attempt=job.run_attempt,
        name=job.name,
        workflow=job.workflow_name,
        branch=job.head_branch,
        sha=job.head_sha,
        labels=job.labels,
        status=status,
        conclusion=job.conclusion,
        created_at=created.astimezone(UTC),
        started_at=job.started_at.astimezone(UTC) if job.started_at else None,
        completed_at=job.completed_at.astimezone(UTC) if job.completed_at else None,
        # GitHub fills an empty name and id 0 for "no runner" here and there.
        runner_id=job.runner_id or None,
        runner_name=job.runner_name or None,
        order_at=at.astimezone(UTC) if at else None,
        source=source,
        node_id=job.node_id,
    )


def run_news(
    run: RunObject, repository: str, source: str, *, action: str | None = None, home: int | None = None
) -> RunNews:
    """What GitHub says of one attempt of a run; `home` is the repository's id where the run lacks it."""
    # A `completed` delivery with status "queued" is on record; the action is right.
    status = "completed" if action == "completed" else run.status or "queued"
    home = run.repository.id if run.repository else home
    head = run.head_repository.id if run.head_repository else None
    return RunNews(
        id=run.id,
        attempt=run.run_attempt,
        repository=repository,
        workflow=run.name,
        event=run.event,
        branch=run.head_branch,
        sha=run.head_sha,
        status=status,
        conclusion=run.conclusion,
        # A head repository that was deleted since (null) can only have been a fork; what cannot be
        # told is not trusted either.
        fork=head is None or head != home,
        source=source,
    )
