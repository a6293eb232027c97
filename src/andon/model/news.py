"""Parsed facts about jobs and runs (design.md, the road: "Event").

Polls make the same news as webhooks, so a lost webhook costs time, never truth.
"""

from datetime import datetime

import msgspec

from andon.model.job_states import JobStatus


class JobNews(msgspec.Struct, frozen=True, kw_only=True):
    """What GitHub said of one job, once."""

    id: int
    repository: str
    run_id: int
    attempt: int
    name: str
    workflow: str | None
    branch: str | None
    sha: str
    labels: tuple[str, ...]
    status: JobStatus
    conclusion: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    runner_id: int | None
    runner_name: str | None
    order_at: datetime | None
    """GitHub's time of this observation: `deployment.updated_at`, else the delivery GUID's time,
    else the answer's date; None when nothing tells."""
    source: str
    """`webhook:GUID` or `api:WHY`: evidence in the journal."""
    node_id: str | None = None
    """The check run's node id, where it was told: what GraphQL asks by (R10)."""


class RunNews(msgspec.Struct, frozen=True, kw_only=True):
    """What GitHub said of one attempt of a run, once."""

    id: int
    attempt: int
    repository: str
    workflow: str | None
    event: str
    branch: str | None
    sha: str
    status: str
    conclusion: str | None
    fork: bool
    source: str


class Ignored(msgspec.Struct, frozen=True, kw_only=True):
    """An event that changes nothing, with the one reason why (R6)."""

    reason: str
    """A short word for metrics, such as `not_our_label`."""
    detail: str = ""
