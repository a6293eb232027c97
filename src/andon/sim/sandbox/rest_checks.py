"""GitHub's endpoints for check runs; only Apps make them (contract section 4b)."""

from collections.abc import Callable

import msgspec

from andon.sim.sandbox.app_records import App
from andon.sim.sandbox.check_run_json import check_run_json
from andon.sim.sandbox.check_runs import CheckRun, Output
from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply, page_of, repository_of
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Job
from andon.sim.sandbox.refusals import ApiError, not_found

_STATUSES = frozenset({"queued", "in_progress", "completed", "waiting", "requested", "pending"})
_CONCLUSIONS = frozenset(
    {"action_required", "cancelled", "failure", "neutral", "success", "skipped", "stale", "timed_out"}
)


class _CheckRequest(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    head_sha: str
    status: str = "queued"
    conclusion: str | None = None
    details_url: str | None = None
    external_id: str = ""
    output: Output = Output()


class _CheckChange(msgspec.Struct, frozen=True, kw_only=True):
    status: str | None = None
    conclusion: str | None = None
    output: Output | None = None


def check_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """List those of a commit, get, make, change."""
    world, checks = sandbox.world, sandbox.check_runs

    def app_of(asked: Asked) -> App:
        if asked.caller is None or asked.caller.app is None:
            raise ApiError(403, "You must authenticate via a GitHub App.")
        return asked.caller.app

    def show(asked: Asked, check: CheckRun | Job, status: int = 200) -> Reply:
        return Reply(status=status, body=check_run_json(check, world, asked.base_url))

    def of_ref(asked: Asked) -> Reply:
        found = checks.of_ref(repository_of(sandbox, asked), asked.path["ref"])
        if name := asked.query.get("check_name"):
            found = [check for check in found if check.name == name]
        shown = [check_run_json(check, world, asked.base_url) for check in found]
        for key in ("status", "app_id"):
            if (wanted := asked.query.get(key)) is not None:
                shown = [one for one in shown if str(one["app"]["id"] if key == "app_id" else one[key]) == wanted]
        return page_of(asked, shown, "check_runs", lambda one: one)

    def get(asked: Asked) -> Reply:
        return show(asked, checks.get(repository_of(sandbox, asked), asked.path["check_run_id"]))

    def create(asked: Asked) -> Reply:
        app, wanted = app_of(asked), asked.read(_CheckRequest)
        _check_words(wanted.status, wanted.conclusion)
        made = checks.add(
            repository_of(sandbox, asked),
            app,
            name=wanted.name,
            sha=wanted.head_sha,
            status=wanted.status,
            conclusion=wanted.conclusion,
            details_url=wanted.details_url,
            external_id=wanted.external_id,
            output=wanted.output,
        )
        return show(asked, made, 201)

    def change(asked: Asked) -> Reply:
        app, wanted = app_of(asked), asked.read(_CheckChange)
        _check_words(wanted.status, wanted.conclusion)
        found = checks.get(repository_of(sandbox, asked), asked.path["check_run_id"])
        if isinstance(found, Job) or found.app is not app:
            # An App changes its own check runs only.
            raise not_found() if isinstance(found, Job) else ApiError(403, f"Invalid app_id `{app.id}`")
        checks.change(found, status=wanted.status, conclusion=wanted.conclusion, output=wanted.output)
        return show(asked, found)

    repository = "/repos/{owner}/{repo}"
    table: list[tuple[str, str, Callable[[Asked], Reply]]] = [
        ("GET", "/commits/{ref}/check-runs", of_ref),
        ("GET", "/check-runs/{check_run_id}", get),
        ("POST", "/check-runs", create),
        ("PATCH", "/check-runs/{check_run_id}", change),
    ]
    return [
        Endpoint(
            method=method,
            template=repository + path,
            answer=answer,
            permission="checks:read" if method == "GET" else "checks:write",
            scope="repo",
        )
        for method, path, answer in table
    ]


def _check_words(status: str | None, conclusion: str | None) -> None:
    if status is not None and status not in _STATUSES:
        raise ApiError(422, f"Invalid request.\n\n{status!r} is not a member of {sorted(_STATUSES)}.")
    if conclusion is not None and conclusion not in _CONCLUSIONS:
        raise ApiError(422, f"Invalid request.\n\n{conclusion!r} is not a member of {sorted(_CONCLUSIONS)}.")
    if status == "completed" and conclusion is None:
        raise ApiError(422, "Invalid request.\n\nA completed check run needs a conclusion.")
