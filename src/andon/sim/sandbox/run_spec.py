"""What `POST /_sandbox/runs` takes: a run as one wants it, instead of a workflow file.

Checked here whole, so that the machine behind it never sees a job that needs itself.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from andon.sim.sandbox.refusals import ApiError

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{40}")
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_-]+")


class StepSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="kebab"
):
    """A step as in a workflow file."""

    run: str
    name: str | None = None
    shell: str | None = None
    working_directory: str | None = None
    env: Mapping[str, str] = {}
    if_: str | None = msgspec.field(name="if", default=None)
    continue_on_error: bool = False
    timeout_minutes: float | None = None


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job as in a workflow file; `needs` holds names of jobs of the same run."""

    name: str
    labels: tuple[str, ...] = ("self-hosted",)
    needs: tuple[str, ...] = ()
    steps: tuple[StepSpec, ...] = ()
    env: Mapping[str, str] = {}
    key: str | None = None
    """The workflow key (GITHUB_JOB). Default: the name up to a matrix's ` (`, made a key."""
    gate: bool = False
    """Whether it waits for an approval first."""

    @property
    def workflow_key(self) -> str:
        return self.key or _NOT_IN_KEYS.sub("-", self.name.split(" (")[0]).strip("-").lower() or "job"


class RunSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run; only `repository` and `jobs` are needed."""

    repository: str
    jobs: tuple[JobSpec, ...]
    event: str = "push"
    branch: str | None = None
    sha: str | None = None
    workflow: str = "ci"
    actor: str = "octocat"
    title: str | None = None
    fork: bool = False
    payload: Mapping[str, Any] = {}
    """Laid over the event payload that the job finds in GITHUB_EVENT_PATH."""

    def check(self) -> None:
        """Raises ApiError 422 with one sentence for what cannot be a run."""
        check_repository_name(self.repository)
        if not self.jobs:
            raise ApiError(422, 'The run has no jobs. Give "jobs" at least one {"name", "labels", "steps"}.')
        if self.sha is not None and not _SHA.fullmatch(self.sha):
            raise ApiError(422, f'"sha" is {self.sha!r}. Give 40 lower-case hexadecimal digits, or leave it out.')
        names = [job.name for job in self.jobs]
        known = set(names)
        for job in self.jobs:
            if not job.name:
                raise ApiError(422, "A job has an empty name. Give each job a name.")
            if not job.labels or not all(job.labels):
                raise ApiError(
                    422, f'Job "{job.name}" has no labels or an empty one. Give "labels" its runs-on strings.'
                )
            for need in job.needs:
                if need not in known:
                    raise ApiError(
                        422,
                        f'Job "{job.name}" needs "{need}", which is no job of this run. There are: {", ".join(names)}.',
                    )
        if len(known) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ApiError(422, f'Two jobs are named "{twice}". Give each job of a run its own name.')
        self._check_cycles()

    def _check_cycles(self) -> None:
        open_needs = {job.name: set(job.needs) for job in self.jobs}
        dependants: dict[str, list[str]] = {name: [] for name in open_needs}
        for job in self.jobs:
            for need in set(job.needs):
                dependants[need].append(job.name)
        free = [name for name, needs in open_needs.items() if not needs]
        while free:
            done = free.pop()
            del open_needs[done]
            for name in dependants[done]:
                open_needs[name].discard(done)
                if not open_needs[name]:
                    free.append(name)
        if open_needs:
            raise ApiError(
                422, f"The needs of {', '.join(sorted(open_needs))} go round in a circle. Take one of them out."
            )


def check_repository_name(name: str) -> None:
    """Raises ApiError 422 unless `name` is `owner/name`."""
    if not _REPOSITORY.fullmatch(name):
        raise ApiError(422, f'"repository" is {name!r}. Write it as "owner/name".')
