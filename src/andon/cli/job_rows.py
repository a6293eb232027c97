"""Jobs as rows of a table, for `andon jobs`, and what other commands say of a job."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console

from andon.cli.output import Cell, plain, shown_time, strong, word
from andon.model.api import JobView
from andon.model.job_states import JobStatus

HEADINGS = ("JOB", "REPOSITORY", "NAME", "STATE", "POOL", "PLACE", "SINCE", "WHY")
OPEN_STATES = (JobStatus.IN_PROGRESS, JobStatus.QUEUED, JobStatus.PENDING, JobStatus.WAITING)
"""The states of jobs that have not ended, in the order they are shown."""
WAITING_STATES = OPEN_STATES[1:]


def since(job: JobView) -> datetime | None:
    """When the job came into the state that is shown."""
    if job.status == JobStatus.COMPLETED:
        return job.completed_at
    return job.started_at if job.status == JobStatus.IN_PROGRESS else job.queued_at


def state(job: JobView) -> str:
    """The conclusion of a job that ended, else its status."""
    return job.conclusion or job.status


def place(job: JobView) -> str:
    """`host/slot`, or "-"."""
    return "-" if job.host is None else plain(f"{job.host}/{'?' if job.slot is None else job.slot}")


def cause(job: JobView) -> str:
    """The one cause why it waits; empty for a job that does not wait."""
    return job.why.cause if job.why is not None and job.status in WAITING_STATES else ""


def job_rows(jobs: Iterable[JobView], console: Console, now: datetime) -> list[Sequence[Cell]]:
    """One row for each job."""
    return [
        (
            strong(job.id),
            plain(job.repository),
            plain(job.name),
            word(state(job)),
            plain(job.pool),
            place(job),
            shown_time(console, since(job), now),
            word(cause(job)),
        )
        for job in jobs
    ]
