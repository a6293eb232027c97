"""A job: one workflow job of one attempt, in GitHub's own words (law 1: it mirrors GitHub only).

News comes late, twice and out of order, so a job is not moved edge by edge: of two observations
the later one in GitHub's life cycle wins (R3). The table says which moves that allows;
`rules.job_news` merges.
"""

from datetime import timedelta
from enum import StrEnum

from andon.model.machine import Deadline, Machine


class JobStatus(StrEnum):
    WAITING = "waiting"
    """Behind a deployment gate."""
    PENDING = "pending"
    """Behind a concurrency group."""
    QUEUED = "queued"
    """Waits for a runner: the only status that is demand."""
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Conclusion(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    ACTION_REQUIRED = "action_required"
    NEUTRAL = "neutral"
    TIMED_OUT = "timed_out"


RANK = {
    JobStatus.WAITING: 0,
    JobStatus.PENDING: 0,
    JobStatus.QUEUED: 0,
    JobStatus.IN_PROGRESS: 1,
    JobStatus.COMPLETED: 2,
}
"""How far along a job is. Higher absorbs lower; among equals of rank 0 the later one wins."""

_WAITS = (JobStatus.WAITING, JobStatus.PENDING, JobStatus.QUEUED)

JOBS = Machine[JobStatus](
    noun="job",
    # Any status can be the first that we hear of.
    initial=frozenset(JobStatus),
    terminal=frozenset({JobStatus.COMPLETED}),
    edges={
        **{(here, f"seen_{there}"): there for here in _WAITS for there in _WAITS},
        **{(here, "seen_in_progress"): JobStatus.IN_PROGRESS for here in _WAITS},
        **{(here, "seen_completed"): JobStatus.COMPLETED for here in (*_WAITS, JobStatus.IN_PROGRESS)},
        (JobStatus.IN_PROGRESS, "seen_in_progress"): JobStatus.IN_PROGRESS,
    },
    deadlines={
        JobStatus.WAITING: Deadline(
            limit=timedelta(days=30),
            text="30 days (GitHub's limit for a gate)",
            consequence="the parent run is read; the job is closed with the run's conclusion",
            owner="loop:sweep",
        ),
        JobStatus.PENDING: Deadline(
            limit=timedelta(days=35),
            text="35 days (GitHub's limit for a run)",
            consequence="the parent run is read; the job is closed with the run's conclusion",
            owner="loop:sweep",
        ),
        JobStatus.QUEUED: Deadline(
            limit=timedelta(hours=24),
            text="24 h (GitHub's limit for a queued job)",
            consequence="the parent run is read; the job is closed with the run's conclusion",
            owner="loop:sweep",
        ),
        JobStatus.IN_PROGRESS: Deadline(
            limit=timedelta(days=5),
            text="5 days (GitHub's limit for a self-hosted job)",
            consequence="GitHub is asked; never ended by us",
            owner="loop:sweep",
        ),
    },
)
