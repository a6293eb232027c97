"""What the control plane says of a workspace: how its run stands, which job it is of, why it is still there.

Whether it may go is the agent's decision; here is only what GitHub told, and what the host told, in words.
What is not known is called unknown, and nothing is concluded from it (law 4).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from andon.model.job_states import JobStatus
from andon.model.nouns import Workspace
from andon.model.workspace_states import WORKSPACES, WorkspaceState

CLOCKS_DIFFER = timedelta(seconds=10)
"""A host's clock and GitHub's, and the seconds between a job's start and its first hook."""


class RunWord(StrEnum):
    """How a run stands, in the words of the sync (interfaces.md section 5)."""

    QUEUED = "queued"
    WAITING = "waiting"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    UNKNOWN = "unknown"


_OF_JOB = {
    JobStatus.IN_PROGRESS.value: RunWord.IN_PROGRESS,
    JobStatus.QUEUED.value: RunWord.QUEUED,
    JobStatus.WAITING.value: RunWord.WAITING,
    JobStatus.PENDING.value: RunWord.WAITING,
}
_OF_RUN = {
    "completed": RunWord.COMPLETED,
    "queued": RunWord.QUEUED,
    "requested": RunWord.QUEUED,
    "waiting": RunWord.WAITING,
    "pending": RunWord.WAITING,
}
_FIRST = (RunWord.IN_PROGRESS, RunWord.QUEUED, RunWord.WAITING)


class JobFact(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one job of a run."""

    id: int
    run_id: int
    attempt: int
    name: str
    status: str
    conclusion: str | None
    runner_name: str | None
    started_at: datetime | None
    completed_at: datetime | None
    single: bool
    """Its runner was made for a claim: it serves one job and no other."""


def run_word(jobs: Sequence[JobFact], attempts: Mapping[int, str]) -> RunWord:
    """How a run stands: `jobs` of every attempt, and what GitHub said of the attempts themselves (number -> status).

    Over only when every job that is known is over, and the newest attempt says so itself where it is known:
    a job that waits for another one is told of late.
    """
    open_ = {_OF_JOB.get(job.status, RunWord.IN_PROGRESS) for job in jobs if job.status != JobStatus.COMPLETED.value}
    for word in _FIRST:
        if word in open_:
            return word
    newest_of_jobs = max((job.attempt for job in jobs), default=0)
    newest = max(attempts, default=0)
    if newest and newest >= newest_of_jobs:
        said = _OF_RUN.get(attempts[newest], RunWord.IN_PROGRESS)
        return said if jobs or said is not RunWord.COMPLETED else RunWord.UNKNOWN
    return RunWord.COMPLETED if jobs else RunWord.UNKNOWN


def job_of(workspace: Workspace, jobs: Sequence[JobFact]) -> JobFact | None:
    """The job that ran, or runs, in a workspace; None: not known yet, or not to be told apart.

    A runner with a claim serves one job. A persistent one can serve several of one attempt: then the job must have
    begun when the workspace was made, and must not be over while its host says that it runs.
    """
    here = [job for job in jobs if _same(workspace, job)]
    if any(job.single for job in here):
        return here[0] if len(here) == 1 else None
    fitting = [job for job in here if _fits(workspace, job)]
    named = [job for job in fitting if workspace.job_key and _has_key(job.name, workspace.job_key)]
    found = named or fitting
    return max(found, key=lambda job: (job.started_at or workspace.made_at, job.id), default=None)


def _same(workspace: Workspace, job: JobFact) -> bool:
    of_job = (job.run_id, job.attempt, job.runner_name)
    return workspace.runner is not None and of_job == (workspace.run_id, workspace.attempt, workspace.runner)


def _fits(workspace: Workspace, job: JobFact) -> bool:
    if job.started_at is not None and job.started_at > workspace.made_at + CLOCKS_DIFFER:
        return False
    if job.status != JobStatus.COMPLETED.value:
        return True
    if workspace.state in (WorkspaceState.FRESH.value, WorkspaceState.LEASED.value):
        return False
    return job.completed_at is None or job.completed_at >= workspace.made_at - CLOCKS_DIFFER


def _has_key(name: str, key: str) -> bool:
    """Whether a job's name is the workflow's key, or a leg of its matrix; a job may have a name of its own."""
    return name == key or name.startswith(f"{key} (")


def overdue(workspace: Workspace, now: datetime) -> bool:
    """Whether its job has been over for longer than what is left of it should hold the workspace."""
    draining = workspace.state == WorkspaceState.DRAINING.value and workspace.since is not None
    return draining and now - (workspace.since or now) > WORKSPACES.limit(WorkspaceState.DRAINING)


def why_here(workspace: Workspace, run: RunWord, *, host_reports: bool) -> str:
    """Why it is not gone yet: what holds it, in the agent's words, or what its state says. Whole sentences."""
    said = " ".join(_sentence(each) for each in workspace.held_by) or _of_state(workspace, run)
    return said if host_reports else f"{said} Its host is silent: so it was told last."


def _of_state(workspace: Workspace, run: RunWord) -> str:
    if workspace.state == WorkspaceState.FRESH.value:
        return "It was made, and no job has begun in it yet."
    if workspace.state == WorkspaceState.LEASED.value:
        return "Its job runs."
    if workspace.state == WorkspaceState.DRAINING.value:
        return "Its job is over; the agent looks whether anything still uses it."
    if workspace.state == WorkspaceState.DEAD.value:
        if run in (RunWord.COMPLETED, RunWord.UNKNOWN):
            return "Nothing uses it any more. It goes by itself, that of a failed job after a day."
        return f"Nothing uses it any more; its run is not over ({run.value.replace('_', ' ')})."
    if workspace.state == WorkspaceState.TRASHED.value:
        return "It is being deleted."
    return "Its host is of a newer version and says a state that is not known here."


def _sentence(text: str) -> str:
    said = text.strip()
    return said if said.endswith((".", "!", "?")) else f"{said}."
