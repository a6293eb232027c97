"""Check runs: one for every job that GitHub shows, and those that Apps make."""

from datetime import datetime

import msgspec

from andon.sim.sandbox.app_records import App
from andon.sim.sandbox.records import Job, Repository, Stage
from andon.sim.sandbox.refusals import not_found
from andon.sim.sandbox.world import World


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """The text that a check run shows."""

    title: str | None = None
    summary: str | None = None
    text: str | None = None


class CheckRun(msgspec.Struct, kw_only=True, eq=False):
    """A check run that an App made."""

    id: int
    repository: Repository
    app: App
    name: str
    sha: str
    status: str
    started_at: datetime
    conclusion: str | None = None
    completed_at: datetime | None = None
    details_url: str | None = None
    external_id: str = ""
    output: Output = Output()

    def __repr__(self) -> str:
        return f"<check run {self.id} {self.name!r}>"


class CheckRuns:
    """All check runs of the sandbox; those of jobs have the ids of their jobs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: dict[int, CheckRun] = {}

    def add(
        self,
        repository: Repository,
        app: App,
        *,
        name: str,
        sha: str,
        status: str,
        conclusion: str | None,
        details_url: str | None,
        external_id: str,
        output: Output,
    ) -> CheckRun:
        """A check run of an App's own."""
        now = self._world.now()
        made = CheckRun(
            id=self._world.new_id("check_run"),
            repository=repository,
            app=app,
            name=name,
            sha=sha,
            status="completed" if conclusion else status,
            conclusion=conclusion,
            started_at=now,
            completed_at=now if conclusion else None,
            details_url=details_url,
            external_id=external_id,
            output=output,
        )
        self._made[made.id] = made
        return made

    def change(self, check: CheckRun, *, status: str | None, conclusion: str | None, output: Output | None) -> None:
        """Changes what is given; a conclusion completes it."""
        check.output = output or check.output
        check.status = status or check.status
        if conclusion is not None:
            check.status, check.conclusion, check.completed_at = "completed", conclusion, self._world.now()

    def get(self, repository: Repository, check_id: int) -> "CheckRun | Job":
        """One check run: a job's or an App's. Raises ApiError 404."""
        found = self.find(check_id)
        place = found.run.repository if isinstance(found, Job) else found.repository if found else None
        if found is None or place is not repository:
            raise not_found()
        return found

    def find(self, check_id: int) -> "CheckRun | Job | None":
        """A check run by its id alone, as GraphQL finds it."""
        job = self._world.jobs.get(check_id)
        if job is not None and job.stage is not Stage.BLOCKED:
            return job
        return self._made.get(check_id)

    def of_ref(self, repository: Repository, ref: str) -> "list[CheckRun | Job]":
        """Those of a commit or a branch: of each run the latest attempt's jobs, newest first."""
        sha = self._sha_of(repository, ref)
        found: list[CheckRun | Job] = [check for check in self._made.values() if _is_of(check, repository, sha)]
        for run in repository.runs.values():
            if run.sha == sha:
                found.extend(job for job in run.latest.jobs if job.stage is not Stage.BLOCKED)
        return sorted(found, key=lambda check: check.id, reverse=True)

    def _sha_of(self, repository: Repository, ref: str) -> str:
        branch = ref.removeprefix("refs/").removeprefix("heads/")
        newest = next((run for run in reversed(repository.runs.values()) if run.branch == branch), None)
        return newest.sha if newest is not None else ref


def _is_of(check: CheckRun, repository: Repository, sha: str) -> bool:
    return check.repository is repository and check.sha == sha
