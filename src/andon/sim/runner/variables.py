"""The folders of a job and the variables GitHub promises to its steps and hooks."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from andon.runtime.errors import AndonError
from andon.sim.runner.messages import Job

_REPOSITORY_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_ARCHITECTURES = {"x86_64": "X64", "amd64": "X64", "aarch64": "ARM64", "arm64": "ARM64"}


class Places(NamedTuple):
    """Where a job lives, below the runner's own folder."""

    workspace: Path
    temp: Path
    tool_cache: Path
    event_file: Path


def places(root: Path, work_folder: str, repository: str) -> Places:
    """`_work/<repo>/<repo>`, `_work/_temp`. Raises AndonError for a name that is no repository's."""
    name = repository.rpartition("/")[2]
    if not _REPOSITORY_NAME.fullmatch(name) or name in (".", ".."):
        raise AndonError(f"The repository's name is not usable as a folder: {name[:100]!r}.")
    work = root / work_folder
    temp = work / "_temp"
    return Places(work / name / name, temp, work / "_tool", temp / "_github_workflow" / "event.json")


def default_variables(job: Job, where: Places, *, runner_name: str, tracking_id: str) -> dict[str, str]:
    """GITHUB_*, RUNNER_* and CI; nothing a job sets can replace them."""
    pull: dict[str, Any] = job["event_payload"].get("pull_request") or {}
    head: dict[str, Any] = pull.get("head") or {}
    base: dict[str, Any] = pull.get("base") or {}
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": job["actor"],
        "GITHUB_TRIGGERING_ACTOR": job["actor"],
        "GITHUB_API_URL": job["api_url"],
        "GITHUB_SERVER_URL": job["server_url"],
        "GITHUB_EVENT_NAME": job["event"],
        "GITHUB_EVENT_PATH": str(where.event_file),
        "GITHUB_HEAD_REF": str(head.get("ref") or ""),
        "GITHUB_BASE_REF": str(base.get("ref") or ""),
        "GITHUB_JOB": job["key"],
        "GITHUB_REF": job["ref"],
        "GITHUB_REF_NAME": job["branch"],
        "GITHUB_REF_TYPE": "tag" if job["ref"].startswith("refs/tags/") else "branch",
        "GITHUB_REPOSITORY": job["repository"],
        "GITHUB_REPOSITORY_OWNER": job["owner"],
        "GITHUB_RUN_ID": str(job["run_id"]),
        "GITHUB_RUN_NUMBER": str(job["run_number"]),
        "GITHUB_RUN_ATTEMPT": str(job["attempt"]),
        "GITHUB_SHA": job["sha"],
        "GITHUB_WORKFLOW": job["workflow"],
        "GITHUB_WORKSPACE": str(where.workspace),
        "RUNNER_NAME": runner_name,
        "RUNNER_OS": "Linux",
        "RUNNER_ARCH": _ARCHITECTURES.get(os.uname().machine.lower(), "X86"),
        "RUNNER_ENVIRONMENT": "self-hosted",
        "RUNNER_TEMP": str(where.temp),
        "RUNNER_TOOL_CACHE": str(where.tool_cache),
        "RUNNER_WORKSPACE": str(where.workspace.parent),
        "RUNNER_TRACKING_ID": tracking_id,
    }


def with_path(env: Mapping[str, str], added: list[str]) -> dict[str, str]:
    """`env` with the folders from GITHUB_PATH before its PATH, the latest first."""
    if not added:
        return dict(env)
    return {**env, "PATH": ":".join([*reversed(added), env.get("PATH", "/usr/local/bin:/usr/bin:/bin")])}
