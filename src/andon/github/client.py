"""The calls we make, each a method: typed answers, or a Failed that says what kind of failure.

Runners are registered at the repository or at the organisation, as the owner's configuration says.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from andon.github.outcomes import Failed, FailureClass, Got
from andon.github.payloads import JitAnswer, JobList, JobObject, RunList, RunnerList, RunnerObject, RunObject
from andon.github.transport import Transport

T = TypeVar("T")
PAGE = 100
MAX_PAGES = 100


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """Objects with GitHub's own time of the answer."""

    at: datetime | None
    jobs: tuple[JobObject, ...] = ()
    runs: tuple[RunObject, ...] = ()


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Where runners of some work are registered."""

    owner: str
    repository: str | None
    """None: at the organisation."""

    @property
    def path(self) -> str:
        """The part of the REST path before `/actions/runners`."""
        return f"/repos/{self.repository}" if self.repository else f"/orgs/{self.owner}"

    @property
    def template(self) -> str:
        """The same without names, for metrics."""
        return "/repos/{repo}" if self.repository else "/orgs/{org}"


def _decode(got: Got | Failed, kind: type[T]) -> T | Failed:
    if isinstance(got, Failed):
        return got
    try:
        return msgspec.json.decode(got.body, type=kind)
    except ValueError as error:
        return Failed(kind=FailureClass.MALFORMED, status=None, message=f"an answer out of contract: {error}")


class GitHub:
    """GitHub's REST API, as far as we use it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def mint_runner(self, scope: Scope, *, name: str, group: int, labels: Sequence[str]) -> JitAnswer | Failed:
        """Registers a JIT runner. CONFLICT: the name exists, maybe from a try whose answer was lost."""
        body = msgspec.json.encode(
            {"name": name, "runner_group_id": group, "labels": list(labels), "work_folder": "_work"}
        )
        endpoint = f"POST {scope.template}/actions/runners/generate-jitconfig"
        path = f"{scope.path}/actions/runners/generate-jitconfig"
        got = await self._transport.send("POST", path, endpoint=endpoint, owner=scope.owner, body=body)
        return _decode(got, JitAnswer)

    async def find_runner(self, scope: Scope, name: str) -> RunnerObject | Failed | None:
        """The registration of exactly this name; None only when a whole answer lacks it."""
        endpoint = f"GET {scope.template}/actions/runners"
        path = f"{scope.path}/actions/runners"
        query = {"name": name, "per_page": str(PAGE)}
        got = await self._transport.send("GET", path, endpoint=endpoint, owner=scope.owner, query=query)
        listed = _decode(got, RunnerList)
        if isinstance(listed, Failed):
            return listed
        found = next((runner for runner in listed.runners if runner.name == name), None)
        if found is None and len(listed.runners) < min(listed.total_count, PAGE):
            # A partial page is no evidence of absence (law 4).
            return Failed(kind=FailureClass.MALFORMED, status=None, message="the list of runners was cut short")
        return found

    async def delete_runner(self, scope: Scope, runner_id: int) -> Failed | None:
        """Removes a registration. INVALID (422): it is running a job. GONE: it is not there."""
        endpoint = f"DELETE {scope.template}/actions/runners/{{id}}"
        path = f"{scope.path}/actions/runners/{runner_id}"
        got = await self._transport.send("DELETE", path, endpoint=endpoint, owner=scope.owner)
        return got if isinstance(got, Failed) else None

    async def job(self, repository: str, job_id: int) -> Answered | Failed:
        """One job."""
        return await self._jobs(repository, f"/actions/jobs/{job_id}", "/actions/jobs/{id}", single=True)

    async def jobs_of_run(self, repository: str, run_id: int, attempt: int | None = None) -> Answered | Failed:
        """All jobs of one attempt of a run; of the latest when none is named."""
        if attempt is None:
            return await self._jobs(repository, f"/actions/runs/{run_id}/jobs", "/actions/runs/{id}/jobs")
        template = "/actions/runs/{id}/attempts/{n}/jobs"
        return await self._jobs(repository, f"/actions/runs/{run_id}/attempts/{attempt}/jobs", template)

    async def run(self, repository: str, run_id: int, attempt: int | None = None) -> Answered | Failed:
        """One run: its latest attempt, or the named one."""
        suffix, template = ("", "") if attempt is None else (f"/attempts/{attempt}", "/attempts/{n}")
        got = await self._transport.send(
            "GET",
            f"/repos/{repository}/actions/runs/{run_id}{suffix}",
            endpoint=f"GET /repos/{{repo}}/actions/runs/{{id}}{template}",
            owner=_owner(repository),
        )
        if isinstance(got, Failed):
            return got
        run = _decode(got, RunObject)
        return run if isinstance(run, Failed) else Answered(at=got.at, runs=(run,))

    async def runs(self, repository: str, status: str) -> Answered | Failed:
        """All runs of a repository in one status, every page of them."""
        found: list[RunObject] = []
        at: datetime | None = None
        for page in range(1, MAX_PAGES + 1):
            got = await self._transport.send(
                "GET",
                f"/repos/{repository}/actions/runs",
                endpoint="GET /repos/{repo}/actions/runs",
                owner=_owner(repository),
                query={"status": status, "per_page": str(PAGE), "page": str(page)},
            )
            if isinstance(got, Failed):
                return got
            listed = _decode(got, RunList)
            if isinstance(listed, Failed):
                return listed
            at = at or got.at
            found.extend(listed.workflow_runs)
            if len(listed.workflow_runs) < PAGE:
                break
        return Answered(at=at, runs=tuple(found))

    async def job_log(self, repository: str, job_id: int) -> bytes | Failed:
        """A job's log as plain text; GONE before the job has ended."""
        got = await self._transport.send(
            "GET",
            f"/repos/{repository}/actions/jobs/{job_id}/logs",
            endpoint="GET /repos/{repo}/actions/jobs/{id}/logs",
            owner=_owner(repository),
            follow=True,
        )
        return got if isinstance(got, Failed) else got.body

    async def _jobs(self, repository: str, path: str, template: str, *, single: bool = False) -> Answered | Failed:
        found: list[JobObject] = []
        at: datetime | None = None
        for page in range(1, MAX_PAGES + 1):
            got = await self._transport.send(
                "GET",
                f"/repos/{repository}{path}",
                endpoint=f"GET /repos/{{repo}}{template}",
                owner=_owner(repository),
                query=None if single else {"per_page": str(PAGE), "page": str(page)},
            )
            if isinstance(got, Failed):
                return got
            at = at or got.at
            if single:
                job = _decode(got, JobObject)
                return job if isinstance(job, Failed) else Answered(at=at, jobs=(job,))
            listed = _decode(got, JobList)
            if isinstance(listed, Failed):
                return listed
            found.extend(listed.jobs)
            if len(listed.jobs) < PAGE:
                break
        return Answered(at=at, jobs=tuple(found))


def _owner(repository: str) -> str:
    return repository.partition("/")[0]
