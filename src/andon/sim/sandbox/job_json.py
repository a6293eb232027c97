"""A job as the REST API and the `workflow_job` webhook show it (github-contract.md section 1)."""

from typing import Any

from andon.sim.sandbox.records import Job
from andon.sim.sandbox.repository_json import fine_stamp, stamp, user_json


def job_json(job: Job, base_url: str) -> dict[str, Any]:
    """The job's fields. Both views have the same ones; `started_at` equals `created_at` until it ran."""
    run = job.run
    repository = run.repository
    url = f"{base_url}/repos/{repository.full_name}"
    html_url = f"{base_url}/{repository.full_name}"
    # A fault may show a job that runs as one that waits (limits.md section 5, mode 6).
    hidden = job.shown_as is not None
    runner = None if hidden else job.runner
    return {
        "id": job.id,
        "run_id": run.id,
        "workflow_name": run.workflow,
        "head_branch": run.branch,
        "run_url": f"{url}/actions/runs/{run.id}",
        "run_attempt": job.attempt.number,
        "node_id": f"CR_sandbox{job.id}",
        "head_sha": run.sha,
        "url": f"{url}/actions/jobs/{job.id}",
        "html_url": f"{html_url}/actions/runs/{run.id}/job/{job.id}",
        "status": (job.shown_as or job.stage).value,
        "conclusion": job.conclusion,
        "created_at": stamp(job.created_at),
        "started_at": stamp(job.created_at if hidden else job.started_at),
        "completed_at": stamp(job.completed_at),
        "name": job.name,
        "steps": [] if hidden else list(job.steps),
        "check_run_url": f"{url}/check-runs/{job.id}",
        "labels": list(job.spec.labels),
        "runner_id": runner.id if runner else None,
        "runner_name": runner.name if runner else None,
        "runner_group_id": runner.group_id if runner else None,
        "runner_group_name": runner.group_name if runner else None,
    }


def job_truth(job: Job) -> dict[str, Any]:
    """What really happened to the job, with the assignments that GitHub shows nobody."""
    return {
        "id": job.id,
        "run_id": job.run.id,
        "attempt": job.attempt.number,
        "repository": job.run.repository.full_name,
        "name": job.name,
        "labels": list(job.spec.labels),
        "status": job.stage.value,
        "conclusion": job.conclusion,
        "runner": job.runner.name if job.runner else None,
        "assigned_to": job.assignment.runner.name if job.assignment else None,
        "limbo": job.limbo,
        "created_at": fine_stamp(job.created_at),
        "started_at": fine_stamp(job.started_at) if job.runner else None,
        "completed_at": fine_stamp(job.completed_at),
        "has_log": job.log is not None,
        "history": [
            {
                "at": fine_stamp(change.at),
                "what": change.what,
                "runner": change.runner,
                "conclusion": change.conclusion,
                "reason": change.reason,
            }
            for change in job.history
        ],
    }


def deployment_json(job: Job, base_url: str) -> dict[str, Any] | None:
    """The deployment behind a gated job; its `updated_at` orders queued and waiting (contract section 1)."""
    if job.gate_updated_at is None:
        return None
    url = f"{base_url}/repos/{job.run.repository.full_name}/deployments/{job.id}"
    return {
        "url": url,
        "id": job.id,
        "node_id": f"DE_sandbox{job.id}",
        "task": "deploy",
        "original_environment": "release",
        "environment": "release",
        "description": None,
        "created_at": stamp(job.created_at),
        "updated_at": stamp(job.gate_updated_at),
        "statuses_url": f"{url}/statuses",
        "repository_url": f"{base_url}/repos/{job.run.repository.full_name}",
        "sha": job.run.sha,
        "ref": job.run.branch,
        "payload": {},
        "creator": user_json(job.attempt.actor, 583231, base_url),
    }
