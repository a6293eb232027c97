"""The shapes that pass between the server, the listener and the job's process."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast

VERSION = "2.336.0"
"""The official version that this program stands for."""

Step = TypedDict(
    "Step",
    {
        "name": NotRequired[str],
        "run": str,
        "shell": NotRequired[str],
        "working-directory": NotRequired[str],
        "env": NotRequired[dict[str, str]],
        "if": NotRequired[str],
        "continue-on-error": NotRequired[bool],
        "timeout-minutes": NotRequired[float],
    },
)


class ToPlay(TypedDict):
    """A failure that the sandbox asks this program to play with a job (docs/sandbox.md, faults)."""

    kind: str
    """`worker_hangs` or `lock_lost`; any other is ignored."""
    seconds: float | None


class Job(TypedDict):
    """A job as the server hands it out; `key` is the workflow's key, not unique in a matrix."""

    id: int
    name: str
    key: str
    run_id: int
    attempt: int
    run_number: int
    repository: str
    owner: str
    workflow: str
    event: str
    ref: str
    branch: str
    sha: str
    actor: str
    labels: list[str]
    steps: list[Step]
    env: dict[str, str]
    event_payload: dict[str, Any]
    server_url: str
    api_url: str
    fault: NotRequired[ToPlay]


class StepReport(TypedDict):
    """One step's progress. Times are RFC 3339 UTC; `status` is queued, in_progress or completed."""

    number: int
    name: str
    status: str
    conclusion: str | None
    started_at: str | None
    completed_at: str | None


class WorkflowOrder(TypedDict):
    """A workflow file to run in place of the job's own steps; all three are absolute paths."""

    program: str
    file: str
    tree: str


class JobOrder(TypedDict):
    """What the listener writes to the job's process as its first line."""

    job: Job
    session: str
    server_url: str
    token: str
    runner_name: str
    work_folder: str
    timings: dict[str, float]
    workflow: WorkflowOrder | None


def job_from(message: Mapping[str, Any]) -> Job:
    """The job in a message, with empty values for what the server left out.

    Raises KeyError for one without an id, a name or a repository.
    """
    given = cast("Mapping[str, Any]", message["job"])
    repository = str(given["repository"])
    filled: dict[str, Any] = {
        "key": given["name"],
        "run_id": 0,
        "attempt": 1,
        "run_number": 1,
        "owner": repository.partition("/")[0],
        "workflow": "",
        "event": "",
        "ref": "",
        "branch": "",
        "sha": "",
        "actor": "",
        "labels": [],
        "steps": [],
        "env": {},
        "event_payload": {},
        "server_url": "",
        "api_url": "",
        **{name: value for name, value in given.items() if value is not None},
        "id": int(given["id"]),
    }
    return cast("Job", cast("object", filled))
