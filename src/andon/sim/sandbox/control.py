"""The control endpoints as plain functions: for HTTP, for `--script`, and for use in process.

Bad input is refused with ApiError 422 and one clear sentence.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from andon.sim.sandbox import control_accounts as accounts
from andon.sim.sandbox.faults import FaultSpec
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.jit_config import encoded_config
from andon.sim.sandbox.pulls import PullSpec
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.run_spec import RunSpec, check_repository_name
from andon.sim.sandbox.runner_json import runner_json
from andon.sim.virtual_time import VirtualClock

T = TypeVar("T")
_RELEASE = re.compile(r"/_sandbox/jobs/([0-9]+)/release_gate")


class RepositorySpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_sandbox/repositories`: makes a repository, or changes whether it is private."""

    repository: str
    private: bool | None = None
    """Null: private when it is made, and left as it is when it is there."""
    default_branch: str = "main"


class RunnerSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_sandbox/runners`: a registration without the API; `at` is `owner/name` or `owner`."""

    at: str
    name: str
    labels: tuple[str, ...]
    ephemeral: bool = False


class ClockSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_sandbox/clock`."""

    advance_s: float


def converted(body: Any, kind: type[T], path: str) -> T:
    """`body` as a `kind`; raises ApiError 422 with one sentence that says where it is wrong."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        at = f' at "{where.strip("`.")}"' if where.strip("`.") else ""
        raise ApiError(422, f"POST {path}: {what}{at}. See docs/sandbox.md for the fields.") from None


def _create_run(sandbox: SandboxGitHub, spec: RunSpec) -> tuple[int, Any]:
    return 201, sandbox.create_run(spec)


def _make_repository(sandbox: SandboxGitHub, spec: RepositorySpec) -> tuple[int, Any]:
    check_repository_name(spec.repository)
    world = sandbox.world
    found = world.repositories.get(spec.repository.lower())
    made = world.make_repository(spec.repository, private=spec.private is not False, default_branch=spec.default_branch)
    if found is not None and spec.private is not None and spec.private != found.private:
        world.set_private(found, private=spec.private)
        sandbox.announcements.repository(found, "privatized" if spec.private else "publicized")
    return 201, {"id": made.id, "repository": made.full_name}


def _make_runner(sandbox: SandboxGitHub, spec: RunnerSpec) -> tuple[int, Any]:
    runner = sandbox.runners.register(spec.at, name=spec.name, labels=spec.labels, ephemeral=spec.ephemeral)
    return 201, {"runner": runner_json(runner), "encoded_jit_config": encoded_config(runner, sandbox.base_url)}


def _add_fault(sandbox: SandboxGitHub, spec: FaultSpec) -> tuple[int, Any]:
    return 201, msgspec.to_builtins(sandbox.faults.add(spec))


def _put_pull(sandbox: SandboxGitHub, spec: PullSpec) -> tuple[int, Any]:
    pull = sandbox.pulls.put(spec)
    return 201, {
        "number": pull.number,
        "state": pull.state,
        "sha": pull.head_sha,
        "merge_commit_sha": pull.merge_commit_sha,
    }


def _move_clock(sandbox: SandboxGitHub, spec: ClockSpec) -> tuple[int, Any]:
    clock = sandbox.clock
    if not isinstance(clock, VirtualClock):
        raise ApiError(409, "This sandbox runs on real time, which cannot be moved. Start it on a virtual clock.")
    if spec.advance_s < 0:
        raise ApiError(422, f'"advance_s" is {spec.advance_s}. Give 0 or more seconds.')
    clock.advance(spec.advance_s)
    sandbox.tick()
    return 200, {"now": clock.now().isoformat()}


_CALLS: dict[str, tuple[type[Any], Callable[[SandboxGitHub, Any], tuple[int, Any]]]] = {
    "/_sandbox/runs": (RunSpec, _create_run),
    "/_sandbox/repositories": (RepositorySpec, _make_repository),
    "/_sandbox/runners": (RunnerSpec, _make_runner),
    "/_sandbox/faults": (FaultSpec, _add_fault),
    "/_sandbox/pulls": (PullSpec, _put_pull),
    "/_sandbox/apps": (accounts.AppSpec, accounts.make_app),
    "/_sandbox/installations": (accounts.InstallationSpec, accounts.install),
    "/_sandbox/tokens": (accounts.TokenSpec, accounts.make_token),
    "/_sandbox/tokens/end": (accounts.EndSpec, accounts.end_tokens),
    "/_sandbox/limits": (accounts.LimitsSpec, accounts.set_limits),
    "/_sandbox/runner_groups": (accounts.GroupSpec, accounts.make_group),
    "/_sandbox/runner_versions": (accounts.VersionSpec, accounts.set_version),
    "/_sandbox/clock": (ClockSpec, _move_clock),
}
PATHS = (*_CALLS, "/_sandbox/jobs/ID/release_gate")


def post(sandbox: SandboxGitHub, path: str, body: Any) -> tuple[int, Any]:
    """Carries out `POST path` and gives its status and answer; raises ApiError."""
    sandbox.tick()
    if path in _CALLS:
        kind, call = _CALLS[path]
        return call(sandbox, converted(body, kind, path))
    if found := _RELEASE.fullmatch(path):
        job = sandbox.world.jobs.get(int(found[1]))
        if job is None:
            raise ApiError(404, f"There is no job {found[1]}. Take an id that POST /_sandbox/runs answered.")
        sandbox.runs.release_gate(job)
        return 200, {"job": job.id, "status": job.stage.value}
    raise ApiError(404, f"{path} is no control endpoint. There are: {', '.join(PATHS)}.")


def check(path: str, body: Any) -> None:
    """Raises ApiError when `POST path` could never work; nothing is carried out."""
    if path in _CALLS:
        spec = converted(body, _CALLS[path][0], path)
        if isinstance(spec, RunSpec):
            spec.check()
    elif not _RELEASE.fullmatch(path):
        raise ApiError(404, f"{path} is no control endpoint. There are: {', '.join(PATHS)}.")
