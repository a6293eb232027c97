"""What a runner is told of the job it was given (the stand-in runner's protocol, docs/sandbox.md)."""

from typing import Any

import msgspec

from andon.sim.sandbox.records import Job, Run
from andon.sim.sandbox.repository_json import announced_repository_json, user_json


def job_message(job: Job, base_url: str) -> dict[str, Any]:
    """The job with everything its steps need."""
    run = job.run
    repository = run.repository
    return {
        "id": job.id,
        "name": job.name,
        "key": job.spec.workflow_key,
        "run_id": run.id,
        "attempt": job.attempt.number,
        "run_number": run.number,
        "repository": repository.full_name,
        "owner": repository.owner,
        "workflow": run.workflow,
        "event": run.event,
        "ref": ref_of(run),
        "branch": run.branch,
        "sha": run.sha,
        "actor": run.actor,
        "labels": list(job.spec.labels),
        "steps": msgspec.to_builtins(job.spec.steps),
        "env": dict(job.spec.env),
        "event_payload": event_payload(run, base_url),
        "server_url": base_url,
        "api_url": base_url,
        **({"fault": dict(job.to_play)} if job.to_play else {}),
    }


def ref_of(run: Run) -> str:
    """GITHUB_REF."""
    return f"refs/pull/{run.pull_request}/merge" if run.pull_request else f"refs/heads/{run.branch}"


def event_payload(run: Run, base_url: str) -> dict[str, Any]:
    """What stands in GITHUB_EVENT_PATH: the surroundings, and whatever the run was made with."""
    shown = announced_repository_json(run.repository, base_url)
    payload: dict[str, Any] = {"repository": shown, "sender": user_json(run.actor, 583231, base_url)}
    if run.pull_request:
        payload |= {
            "action": "synchronize",
            "number": run.pull_request,
            "pull_request": {
                "number": run.pull_request,
                "head": {"ref": run.branch, "sha": run.sha},
                "base": {"ref": run.repository.default_branch},
            },
        }
    elif run.event == "push":
        payload |= {"ref": ref_of(run), "after": run.sha}
    return {**payload, **run.payload}
