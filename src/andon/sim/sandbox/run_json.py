"""A workflow run as the REST API and the `workflow_run` webhook show it."""

from typing import Any

from andon.sim.sandbox.records import Attempt, Run
from andon.sim.sandbox.repository_json import fork_json, lite_repository_json, stamp, user_json


def run_json(run: Run, base_url: str, attempt: Attempt | None = None) -> dict[str, Any]:
    """The run as of `attempt`, by default its latest."""
    attempt = attempt or run.latest
    repository = run.repository
    repos = f"{base_url}/repos/{repository.full_name}"
    url = f"{repos}/actions/runs/{run.id}"
    shown = lite_repository_json(repository, base_url)
    previous = f"{url}/attempts/{attempt.number - 1}" if attempt.number > 1 else None
    return {
        "id": run.id,
        "name": run.workflow,
        "node_id": f"WFR_sandbox{run.id}",
        "head_branch": run.branch,
        "head_sha": run.sha,
        "path": f".github/workflows/{run.workflow}.yml",
        "display_title": run.title,
        "run_number": run.number,
        "event": run.event,
        "status": attempt.status,
        "conclusion": attempt.conclusion,
        "workflow_id": run.workflow_id,
        "check_suite_id": run.id + 1_000_000_000,
        "check_suite_node_id": f"CS_sandbox{run.id}",
        "url": url,
        "html_url": f"{base_url}/{repository.full_name}/actions/runs/{run.id}",
        "pull_requests": _pull_requests(run, base_url),
        "created_at": stamp(run.created_at),
        "updated_at": stamp(attempt.updated_at),
        "actor": user_json(run.actor, 583231, base_url),
        "run_attempt": attempt.number,
        "referenced_workflows": [],
        "run_started_at": stamp(attempt.started_at),
        "triggering_actor": user_json(attempt.actor, 583231, base_url),
        "jobs_url": f"{url}/jobs",
        "logs_url": f"{url}/logs",
        "check_suite_url": f"{repos}/check-suites/{run.id + 1_000_000_000}",
        "artifacts_url": f"{url}/artifacts",
        "cancel_url": f"{url}/cancel",
        "rerun_url": f"{url}/rerun",
        "previous_attempt_url": previous,
        "workflow_url": f"{repos}/actions/workflows/{run.workflow_id}",
        "head_commit": {
            "id": run.sha,
            "tree_id": run.sha,
            "message": run.title,
            "timestamp": stamp(run.created_at),
            "author": {"name": run.actor, "email": f"{run.actor}@sandbox.invalid"},
            "committer": {"name": run.actor, "email": f"{run.actor}@sandbox.invalid"},
        },
        "repository": shown,
        "head_repository": fork_json(repository, run.fork, base_url) if run.fork else shown,
    }


def _pull_requests(run: Run, base_url: str) -> list[dict[str, Any]]:
    # GitHub leaves the list empty for pull requests from forks.
    if run.pull_request is None or run.fork:
        return []
    repository = run.repository
    url = f"{base_url}/repos/{repository.full_name}"
    short = {"id": repository.id, "url": url, "name": repository.name}
    return [
        {
            "url": f"{url}/pulls/{run.pull_request}",
            "id": run.id,
            "number": run.pull_request,
            "head": {"ref": run.branch, "sha": run.sha, "repo": short},
            "base": {"ref": repository.default_branch, "sha": run.sha, "repo": short},
        }
    ]
