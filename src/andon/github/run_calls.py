"""Calls about runs, jobs and their logs; rerun and cancel (contract section 4)."""

from datetime import datetime

import msgspec

from andon.github.asking import Asking, Listed, encode
from andon.github.call import MAX_LOG_BYTES, Call, Priority, Sink
from andon.github.outcomes import Failed, Got
from andon.github.payloads import JobList, JobObject, RunList, RunObject
from andon.github.scope import owner_of, repository_path

MAX_FILTERED_RUNS = 1_000
"""GitHub shows no more runs of a filtered list."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """Objects with GitHub's own time of the answer."""

    at: datetime | None
    jobs: tuple[JobObject, ...] = ()
    runs: tuple[RunObject, ...] = ()
    not_modified: bool = False
    """Everything is as it was when the same was asked last (ETag): it cost nothing."""
    whole: bool = True
    """Whether there is no more of what was asked for than this; of the newest runs, whether these are all."""


class RunCalls(Asking):
    """What is asked about runs and jobs."""

    async def job(self, repository: str, job_id: int, *, priority: Priority = Priority.LOOKUP) -> Answered | Failed:
        """One job."""
        call = _call("GET", repository, f"/jobs/{job_id}", "/jobs/{id}", priority=priority)
        answer = await self._ask_whole(call, JobObject)
        return answer if isinstance(answer, Failed) else Answered(at=answer[1].at, jobs=(answer[0],))

    async def jobs_of_run(
        self,
        repository: str,
        run_id: int,
        attempt: int | None = None,
        *,
        priority: Priority = Priority.SWEEP,
        conditional: bool = True,
    ) -> Answered | Failed:
        """All jobs of one attempt of a run; of the latest when none is named."""
        suffix, template = ("", "") if attempt is None else (f"/attempts/{attempt}", "/attempts/{n}")
        call = _call(
            "GET",
            repository,
            f"/runs/{run_id}{suffix}/jobs",
            f"/runs/{{id}}{template}/jobs",
            priority=priority,
            conditional=conditional,
        )
        listed = await self._list(call, JobList, lambda page: page.jobs, lambda page: page.total_count)
        if isinstance(listed, Failed):
            return listed
        return Answered(at=listed.at, jobs=listed.items, not_modified=listed.not_modified)

    async def run(
        self, repository: str, run_id: int, attempt: int | None = None, *, priority: Priority = Priority.LOOKUP
    ) -> Answered | Failed:
        """One run: its latest attempt, or the named one."""
        suffix, template = ("", "") if attempt is None else (f"/attempts/{attempt}", "/attempts/{n}")
        call = _call("GET", repository, f"/runs/{run_id}{suffix}", f"/runs/{{id}}{template}", priority=priority)
        answer = await self._ask_whole(call, RunObject)
        return answer if isinstance(answer, Failed) else Answered(at=answer[1].at, runs=(answer[0],))

    async def runs(
        self,
        repository: str,
        status: str | None = None,
        *,
        branch: str | None = None,
        created: str | None = None,
        priority: Priority = Priority.SWEEP,
    ) -> Answered | Failed:
        """A repository's runs in one status (or all), every page of them; at most the newest 1,000.

        `created` is GitHub's date filter, as ">=2026-11-22T10:00:00Z"; a rerun keeps its run's date.
        """
        filters = {"status": status, "branch": branch, "created": created}
        query = {name: value for name, value in filters.items() if value is not None}
        call = _call("GET", repository, "/runs", query=query, priority=priority, conditional=True)
        listed: Listed[RunObject] | Failed = await self._list(
            call,
            RunList,
            lambda page: page.workflow_runs,
            lambda page: page.total_count,
            most=MAX_FILTERED_RUNS,
            # Runs end between two pages, and filtered totals lag behind.
            exact=False,
        )
        if isinstance(listed, Failed):
            return listed
        return Answered(at=listed.at, runs=listed.items, not_modified=listed.not_modified)

    async def newest_runs(
        self, repository: str, count: int, *, priority: Priority = Priority.SWEEP
    ) -> Answered | Failed:
        """The `count` newest runs in any status: one page, at most 100."""
        call = _call("GET", repository, "/runs", query={"per_page": str(count)}, priority=priority, conditional=True)
        answer = await self._ask_whole(call, RunList)
        if isinstance(answer, Failed):
            return answer
        listed, got = answer
        # A run that is missing here is asked about by itself: nothing is concluded from a short page.
        whole = listed.total_count <= len(listed.workflow_runs)
        return Answered(at=got.at, runs=listed.workflow_runs, not_modified=got.not_modified, whole=whole)

    async def job_log(self, repository: str, job_id: int) -> bytes | Failed:
        """A job's log as plain text, up to 32 MB; GONE before the job has ended."""
        got = await self._transport.send(_log_call(repository, job_id))
        return got if isinstance(got, Failed) else got.body

    async def save_job_log(self, repository: str, job_id: int, sink: Sink) -> Got | Failed:
        """A job's log, given to `sink` piece by piece as it comes; up to 1 GiB.

        After a Failed the pieces given so far are no whole log.
        """
        call = msgspec.structs.replace(_log_call(repository, job_id), max_bytes=MAX_LOG_BYTES)
        return await self._transport.send(call, sink=sink)

    async def rerun_run(self, repository: str, run_id: int, *, debug: bool = False) -> Failed | None:
        """Runs all jobs of a run again. FORBIDDEN: it still runs, is too old, or was rerun too often."""
        return await self._do(_rerun(repository, f"/runs/{run_id}/rerun", "/runs/{id}/rerun", debug))

    async def rerun_failed_jobs(self, repository: str, run_id: int, *, debug: bool = False) -> Failed | None:
        """Runs a run's failed jobs and their dependants again. FORBIDDEN as in `rerun_run`."""
        path, template = f"/runs/{run_id}/rerun-failed-jobs", "/runs/{id}/rerun-failed-jobs"
        return await self._do(_rerun(repository, path, template, debug))

    async def rerun_job(self, repository: str, job_id: int, *, debug: bool = False) -> Failed | None:
        """Runs a job and its dependants again. FORBIDDEN as in `rerun_run`."""
        return await self._do(_rerun(repository, f"/jobs/{job_id}/rerun", "/jobs/{id}/rerun", debug))

    async def cancel_run(self, repository: str, run_id: int) -> Failed | None:
        """Asks for a run's end. CONFLICT: it is over already."""
        call = _call("POST", repository, f"/runs/{run_id}/cancel", "/runs/{id}/cancel", priority=Priority.ACT)
        return await self._do(call)

    async def force_cancel_run(self, repository: str, run_id: int) -> Failed | None:
        """Ends a run that did not answer `cancel_run`: `always()` steps are skipped too."""
        path, template = f"/runs/{run_id}/force-cancel", "/runs/{id}/force-cancel"
        return await self._do(_call("POST", repository, path, template, priority=Priority.ACT))


def _rerun(repository: str, path: str, template: str, debug: bool) -> Call:
    body = encode(enable_debug_logging=True) if debug else None
    return _call("POST", repository, path, template, body=body, priority=Priority.ACT)


def _log_call(repository: str, job_id: int) -> Call:
    call = _call("GET", repository, f"/jobs/{job_id}/logs", "/jobs/{id}/logs", priority=Priority.LOOKUP)
    return msgspec.structs.replace(call, elsewhere=True)


def _call(
    method: str,
    repository: str,
    path: str,
    template: str | None = None,
    *,
    priority: Priority,
    query: dict[str, str] | None = None,
    body: bytes | None = None,
    conditional: bool = False,
) -> Call:
    return Call(
        method=method,
        path=f"{repository_path(repository)}/actions{path}",
        endpoint=f"{method} /repos/{{repo}}/actions{path if template is None else template}",
        owner=owner_of(repository),
        query=query or {},
        body=body,
        priority=priority,
        conditional=conditional,
    )
