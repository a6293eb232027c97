"""Calls about check runs, by REST; jobs' states in bulk are asked by GraphQL (`graphql_calls`)."""

from datetime import datetime
from typing import Any, Literal

from andon.github.asking import Asking, Listed, encode
from andon.github.call import Call, Priority
from andon.github.outcomes import Failed
from andon.github.scope import owner_of, repository_path, segment
from andon.github.work_payloads import CheckOutput, CheckRunList, CheckRunObject

Status = Literal["queued", "in_progress", "completed"]
MAX_CHECK_RUNS = 1_000
"""GitHub shows the check runs of a commit's newest 1,000 check suites."""


class CheckCalls(Asking):
    """What is asked about check runs. Only Apps can make them."""

    async def check_runs(
        self, repository: str, ref: str, *, name: str | None = None
    ) -> Listed[CheckRunObject] | Failed:
        """The latest check runs of a commit, branch or tag."""
        call = Call(
            method="GET",
            path=f"{repository_path(repository)}/commits/{segment(ref)}/check-runs",
            endpoint="GET /repos/{repo}/commits/{ref}/check-runs",
            owner=owner_of(repository),
            query={} if name is None else {"check_name": name},
            conditional=True,
        )
        return await self._list(
            call, CheckRunList, lambda page: page.check_runs, lambda page: page.total_count, most=MAX_CHECK_RUNS
        )

    async def create_check_run(
        self,
        repository: str,
        *,
        name: str,
        head_sha: str,
        status: Status = "queued",
        conclusion: str | None = None,
        output: CheckOutput | None = None,
        external_id: str | None = None,
        details_url: str | None = None,
    ) -> CheckRunObject | Failed:
        """Makes a check run. FORBIDDEN with a token that is no App's."""
        fields = _fields(status, conclusion, output, None)
        body = encode(name=name, head_sha=head_sha, external_id=external_id, details_url=details_url, **fields)
        call = _write("POST", repository, "/check-runs", "/check-runs", body, creates=True)
        return await self._ask(call, CheckRunObject)

    async def update_check_run(
        self,
        repository: str,
        check_run_id: int,
        *,
        status: Status | None = None,
        conclusion: str | None = None,
        output: CheckOutput | None = None,
        completed_at: datetime | None = None,
    ) -> CheckRunObject | Failed:
        """Changes what is given of a check run that this App made."""
        body = encode(**_fields(status, conclusion, output, completed_at))
        call = _write("PATCH", repository, f"/check-runs/{check_run_id}", "/check-runs/{id}", body)
        return await self._ask(call, CheckRunObject)


def _fields(
    status: Status | None, conclusion: str | None, output: CheckOutput | None, completed_at: datetime | None
) -> dict[str, Any]:
    shown = None
    if output is not None:
        parts = {"title": output.title, "summary": output.summary, "text": output.text}
        shown = {name: text for name, text in parts.items() if text is not None}
    return {"status": status, "conclusion": conclusion, "output": shown, "completed_at": completed_at}


def _write(method: str, repository: str, path: str, template: str, body: bytes, *, creates: bool = False) -> Call:
    return Call(
        method=method,
        path=f"{repository_path(repository)}{path}",
        endpoint=f"{method} /repos/{{repo}}{template}",
        owner=owner_of(repository),
        body=body,
        priority=Priority.ACT,
        creates_content=creates,
    )
