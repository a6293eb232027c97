"""GitHub's endpoints for repositories, runs, jobs and logs (contract section 4)."""

import operator
from collections.abc import Callable
from datetime import UTC, datetime

from andon.sim.sandbox.callers import CallerKind
from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply, page_of, repository_of
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.job_json import job_json
from andon.sim.sandbox.log_links import LogLinks
from andon.sim.sandbox.records import Job, Run, Stage
from andon.sim.sandbox.refusals import ApiError, not_found
from andon.sim.sandbox.repository_json import full_repository_json
from andon.sim.sandbox.run_json import run_json

_REPOSITORY = "/repos/{owner}/{repo}"
_RUNS = f"{_REPOSITORY}/actions/runs"
_RUN = f"{_RUNS}/{{run_id}}"
_JOB = f"{_REPOSITORY}/actions/jobs/{{job_id}}"


def run_endpoints(sandbox: SandboxGitHub, links: LogLinks) -> list[Endpoint]:
    """Read, rerun and cancel."""

    def run_of(asked: Asked) -> Run:
        return sandbox.runs.get(repository_of(sandbox, asked), asked.path["run_id"])

    def job_of(asked: Asked) -> Job:
        return sandbox.runs.get_job(repository_of(sandbox, asked), asked.path["job_id"])

    def jobs_page(asked: Asked, jobs: list[Job]) -> Reply:
        return page_of(asked, jobs, "jobs", lambda job: job_json(job, asked.base_url))

    def repository(asked: Asked) -> Reply:
        admin = asked.caller is not None and asked.caller.permissions is None
        return Reply(body=full_repository_json(repository_of(sandbox, asked), asked.base_url, admin=admin))

    def list_runs(asked: Asked) -> Reply:
        found = sandbox.runs.list(repository_of(sandbox, asked), status=asked.query.get("status"))
        for key, value_of in _RUN_FILTERS.items():
            if key in asked.query:
                found = [run for run in found if value_of(run) == asked.query[key]]
        if "created" in asked.query:
            found = [run for run in found if _is_created(run, asked.query["created"])]
        return page_of(asked, found, "workflow_runs", lambda run: run_json(run, asked.base_url))

    def get_run(asked: Asked) -> Reply:
        return Reply(body=run_json(run_of(asked), asked.base_url))

    def get_attempt(asked: Asked) -> Reply:
        run = run_of(asked)
        return Reply(body=run_json(run, asked.base_url, sandbox.runs.get_attempt(run, asked.path["attempt_number"])))

    def run_jobs(asked: Asked) -> Reply:
        everything = asked.query.get("filter", "latest") == "all"
        return jobs_page(asked, sandbox.runs.jobs_of(run_of(asked), all_attempts=everything))

    def attempt_jobs(asked: Asked) -> Reply:
        attempt = sandbox.runs.get_attempt(run_of(asked), asked.path["attempt_number"])
        return jobs_page(asked, [job for job in attempt.jobs if job.stage is not Stage.BLOCKED])

    def get_job(asked: Asked) -> Reply:
        return Reply(body=job_json(job_of(asked), asked.base_url))

    def job_logs(asked: Asked) -> Reply:
        job = job_of(asked)
        if job.stage is not Stage.COMPLETED or job.log is None:
            raise not_found()
        return Reply(status=302, headers={"Location": f"{asked.base_url}{links.make(job)}"})

    def rerun(asked: Asked) -> Reply:
        sandbox.runs.rerun(run_of(asked), actor=_actor(asked))
        return Reply(status=201, body={})

    def rerun_failed(asked: Asked) -> Reply:
        sandbox.runs.rerun_failed(run_of(asked), actor=_actor(asked))
        return Reply(status=201, body={})

    def rerun_job(asked: Asked) -> Reply:
        sandbox.runs.rerun_job(job_of(asked), actor=_actor(asked))
        return Reply(status=201, body={})

    def cancel(asked: Asked) -> Reply:
        sandbox.runs.cancel(run_of(asked))
        return Reply(status=202, body={})

    def force_cancel(asked: Asked) -> Reply:
        sandbox.runs.cancel(run_of(asked), force=True)
        sandbox.tick()
        return Reply(status=202, body={})

    table: list[tuple[str, str, Callable[[Asked], Reply]]] = [
        ("GET", _RUNS, list_runs),
        ("GET", _RUN, get_run),
        ("GET", f"{_RUN}/attempts/{{attempt_number}}", get_attempt),
        ("GET", f"{_RUN}/jobs", run_jobs),
        ("GET", f"{_RUN}/attempts/{{attempt_number}}/jobs", attempt_jobs),
        ("GET", _JOB, get_job),
        ("GET", f"{_JOB}/logs", job_logs),
        ("POST", f"{_RUN}/rerun", rerun),
        ("POST", f"{_RUN}/rerun-failed-jobs", rerun_failed),
        ("POST", f"{_JOB}/rerun", rerun_job),
        ("POST", f"{_RUN}/cancel", cancel),
        ("POST", f"{_RUN}/force-cancel", force_cancel),
    ]
    return [
        Endpoint(method="GET", template=_REPOSITORY, answer=repository, permission="metadata:read", scope="repo"),
        *[
            Endpoint(
                method=method,
                template=path,
                answer=answer,
                permission="actions:read" if method == "GET" else "actions:write",
                scope="repo",
            )
            for method, path, answer in table
        ],
    ]


def _actor(asked: Asked) -> str | None:
    """Who a rerun is shown to be of; a token that nobody registered stands for the run's own actor."""
    return None if asked.caller is None or asked.caller.kind is CallerKind.ANYONE else asked.caller.login


def _is_created(run: Run, wanted: str) -> bool:
    """GitHub's date filter, as far as it is used: one time, and before or after it. Raises ApiError 422."""
    for sign, holds in (("<=", operator.le), (">=", operator.ge), ("<", operator.lt), (">", operator.gt)):
        if wanted.startswith(sign):
            try:
                at = datetime.fromisoformat(wanted.removeprefix(sign))
            except ValueError:
                break
            # Shown times are whole seconds, and so are compared ones.
            return holds(run.created_at.replace(microsecond=0), at if at.tzinfo else at.replace(tzinfo=UTC))
    raise ApiError(422, f"The date filter {wanted!r} is not understood by this sandbox: write <=2026-01-01T00:00:00Z.")


_RUN_FILTERS: dict[str, Callable[[Run], str]] = {
    "branch": lambda run: run.branch,
    "event": lambda run: run.event,
    "head_sha": lambda run: run.sha,
    "actor": lambda run: run.actor,
}
