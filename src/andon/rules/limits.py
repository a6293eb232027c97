"""How long things may take: the configuration's word where it speaks, GitHub's limits elsewhere."""

from datetime import timedelta

from andon.model.config import Config, Pool
from andon.model.job_states import JOBS, JobStatus

GITHUB_JOB_LIMIT = JOBS.limit(JobStatus.IN_PROGRESS)


AFTER_THE_JOB = timedelta(minutes=15)
"""How long a runner's process may outlive its completed job before its claim is looked at (R29)."""


def job_limit(config: Config, repository: str) -> timedelta:
    """The longest that a job of this repository may run: `max_job_minutes`, else GitHub's 5 days."""
    for owner in config.owner:
        for known in owner.repository:
            if known.name.lower() == repository.lower() and known.max_job_minutes is not None:
                return timedelta(minutes=known.max_job_minutes)
    return GITHUB_JOB_LIMIT


def registration_limit(pools: dict[str, Pool], pool: str, otherwise: timedelta) -> timedelta:
    """How long a started runner may take to register: the pool's `registration_minutes`."""
    known = pools.get(pool)
    return timedelta(minutes=known.registration_minutes) if known else otherwise
