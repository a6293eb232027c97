"""Check runs as GitHub's JSON shows them."""

from typing import Any

from andon.sim.sandbox.app_json import app_json
from andon.sim.sandbox.check_runs import CheckRun, Output
from andon.sim.sandbox.job_json import job_json
from andon.sim.sandbox.records import Job
from andon.sim.sandbox.repository_json import stamp, user_json
from andon.sim.sandbox.world import World


def check_run_json(check: CheckRun | Job, world: World, base_url: str) -> dict[str, Any]:
    """A check run, whoever made it."""
    return _of_job(check, base_url) if isinstance(check, Job) else _of_app(check, world, base_url)


def _of_job(job: Job, base_url: str) -> dict[str, Any]:
    shown = job_json(job, base_url)
    return {
        "id": job.id,
        "name": job.name,
        "node_id": shown["node_id"],
        "head_sha": job.run.sha,
        "external_id": f"{job.id}",
        "url": shown["check_run_url"],
        "html_url": shown["html_url"],
        "details_url": shown["html_url"],
        "status": shown["status"],
        "conclusion": shown["conclusion"],
        "started_at": shown["started_at"],
        "completed_at": shown["completed_at"],
        "output": _output(Output(), shown["check_run_url"]),
        "check_suite": {"id": job.run.id + 1_000_000_000},
        "app": _actions_app(base_url),
        "pull_requests": [],
    }


def _of_app(check: CheckRun, world: World, base_url: str) -> dict[str, Any]:
    name = check.repository.full_name
    url = f"{base_url}/repos/{name}/check-runs/{check.id}"
    html_url = f"{base_url}/{name}/runs/{check.id}"
    return {
        "id": check.id,
        "name": check.name,
        "node_id": f"CR_sandbox{check.id}",
        "head_sha": check.sha,
        "external_id": check.external_id,
        "url": url,
        "html_url": html_url,
        "details_url": check.details_url or html_url,
        "status": check.status,
        "conclusion": check.conclusion,
        "started_at": stamp(check.started_at),
        "completed_at": stamp(check.completed_at),
        "output": _output(check.output, url),
        "check_suite": {"id": check.id + 1_000_000_000},
        "app": app_json(check.app, world, base_url),
        "pull_requests": [],
    }


def _output(output: Output, url: str) -> dict[str, Any]:
    return {
        "title": output.title,
        "summary": output.summary,
        "text": output.text,
        "annotations_count": 0,
        "annotations_url": f"{url}/annotations",
    }


def _actions_app(base_url: str) -> dict[str, Any]:
    """The App that stands behind the check runs of jobs."""
    made = "2018-07-30T09:30:17Z"
    return {
        "id": 15368,
        "slug": "github-actions",
        "node_id": "MDM6QXBwMTUzNjg=",
        "client_id": "Iv1.05c79e9ad1f6bdfa",
        "owner": user_json("github", 9919, base_url, kind="Organization"),
        "name": "GitHub Actions",
        "description": "Automate your workflow from idea to production",
        "external_url": f"{base_url}/features/actions",
        "html_url": f"{base_url}/apps/github-actions",
        "created_at": made,
        "updated_at": made,
        "permissions": {"actions": "write", "checks": "write", "metadata": "read"},
        "events": [],
    }
