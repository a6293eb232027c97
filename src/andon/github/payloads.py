"""The fields of GitHub's objects that we read; others are ignored (github-contract sections 1-4).

Everything that real payloads were seen to lack has a default.
"""

from datetime import datetime

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True):
    login: str


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    full_name: str
    owner: Account | None = None
    private: bool | None = None


class JobObject(msgspec.Struct, frozen=True, kw_only=True):
    """A job, as in `workflow_job` and in the jobs API."""

    id: int
    run_id: int
    name: str
    status: str
    head_sha: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    run_attempt: int = 1
    conclusion: str | None = None
    labels: tuple[str, ...] = ()
    workflow_name: str | None = None
    head_branch: str | None = None
    runner_id: int | None = None
    runner_name: str | None = None
    html_url: str | None = None
    node_id: str | None = None
    """A job is a check run: this is the check run's node id, what GraphQL asks by (R10)."""
    check_run_url: str | None = None


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    updated_at: datetime | None = None


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `workflow_job`."""

    action: str
    workflow_job: JobObject
    repository: Repository
    deployment: Deployment | None = None


class HeadRepository(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    full_name: str | None = None


class RunObject(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as in `workflow_run` and in the runs API."""

    id: int
    event: str
    name: str | None = None
    status: str | None = None
    conclusion: str | None = None
    head_branch: str | None = None
    head_sha: str = ""
    run_attempt: int = 1
    repository: Repository | None = None
    head_repository: HeadRepository | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    run_started_at: datetime | None = None
    html_url: str | None = None


class RunEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `workflow_run`."""

    action: str
    workflow_run: RunObject
    repository: Repository


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    total_count: int
    jobs: tuple[JobObject, ...]


class RunList(msgspec.Struct, frozen=True, kw_only=True):
    total_count: int
    workflow_runs: tuple[RunObject, ...]
