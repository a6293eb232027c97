"""How `act` is called for one job: no container, no network, its folders below the runner's own.

Facts about act 0.2.89 (limits.md section 8, and tried out): it computes GITHUB_* itself and takes
other values only from `--env NAME=VALUE` or a file; the file may be YAML, so JSON serves. A push's
sha is the event's `after`, but only when the event has `deleted` as well. A platform nobody named
is skipped with exit code 0.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from andon.sim.runner.messages import Job, WorkflowOrder

_ACTS_OWN = ("GITHUB_EVENT_PATH", "GITHUB_WORKSPACE", "RUNNER_TEMP", "RUNNER_TOOL_CACHE", "RUNNER_WORKSPACE")
"""Variables that name folders and files of act's own making."""
_MATRIX = "MATRIX_"
"""`MATRIX_os=linux` in the job's environment chooses the legs whose matrix has os = linux."""


class ActFolders(NamedTuple):
    """Where one call of act works."""

    start: Path
    """Its current directory: fresh, so that no `.actrc`, `.env` or `.secrets` of anybody is read."""
    cache: Path
    """Holds the job's workspace and temporary folder."""


def write_files(folders: ActFolders, job: Job, variables: Mapping[str, str]) -> None:
    """Puts down the event and the variables. Raises OSError."""
    folders.start.mkdir(parents=True)
    folders.cache.mkdir(parents=True, exist_ok=True)
    _event_file(folders).write_text(json.dumps(_event(job)), encoding="utf-8")
    file = _variables_file(folders)
    file.touch(mode=0o600)
    shown = {name: value for name, value in variables.items() if name not in _ACTS_OWN}
    file.write_text(json.dumps(shown), encoding="utf-8")


def act_command(order: WorkflowOrder, job: Job, folders: ActFolders) -> list[str]:
    """The command line; values of variables do not stand on it."""
    command = [order["program"], job["event"] or "push", "--json", "--pull=false", "--no-cache-server"]
    command += ["--workflows", order["file"], "--directory", order["tree"], "--job", job["key"]]
    command += ["--action-cache-path", str(folders.cache), "--eventpath", str(_event_file(folders))]
    command += ["--env-file", str(_variables_file(folders))]
    for option in ("--secret-file", "--var-file", "--input-file"):
        # Their default is a file in the tree, which may be somebody's real one.
        command += [option, "/dev/null"]
    if job["actor"]:
        command += ["--actor", job["actor"]]
    for label in job["labels"]:
        command += ["--platform", f"{label}=-self-hosted"]
    for name, value in sorted(job["env"].items()):
        if name.startswith(_MATRIX):
            command += ["--matrix", f"{name.removeprefix(_MATRIX)}:{value}"]
    return command


def _event(job: Job) -> dict[str, Any]:
    payload = job["event_payload"]
    return {"deleted": False, **payload} if job["event"] == "push" else payload


def _event_file(folders: ActFolders) -> Path:
    return folders.start / "event.json"


def _variables_file(folders: ActFolders) -> Path:
    return folders.start / "variables.yml"
