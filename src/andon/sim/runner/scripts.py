"""What a `run:` step or a hook executes: the shell, its arguments, and how the log shows it."""

import shutil
from pathlib import Path
from typing import NamedTuple

from andon.runtime.errors import AndonError
from andon.sim.runner.messages import Step

_SHELLS = {
    "bash": "bash --noprofile --norc -e -o pipefail {0}",
    "sh": "sh -e {0}",
    "python": "python {0}",
}


class BadScript(AndonError):
    """A step or hook that cannot be started as written; the text goes to the job's log."""


class Script(NamedTuple):
    """`{0}` in `command` is the script's file; `content` None means that `file` is there already."""

    heading: str
    body: tuple[str, ...]
    command: tuple[str, ...]
    content: str | None
    file: Path | None
    suffix: str


def step_script(step: Step) -> Script:
    """The script of one `run:` step. Raises BadScript."""
    text = step["run"]
    lines = tuple(text.strip("\n").splitlines()) or ("",)
    wanted = step.get("shell")
    command = _default_shell() if wanted is None else _named_shell(wanted)
    suffix = ".py" if wanted == "python" else ".sh"
    heading = f"Run {text.strip().splitlines()[0]}" if text.strip() else "Run"
    return Script(heading, lines, command, text if text.endswith("\n") else f"{text}\n", None, suffix)


def hook_script(path: Path) -> Script:
    """A hook named by its absolute path. Raises BadScript when it is not there or no script."""
    if path.suffix != ".sh":
        raise BadScript(f"{path} is not a valid path to a script. Make sure it ends in '.sh'.")
    if not path.is_absolute() or not path.is_file():
        raise BadScript(f"File doesn't exist: '{path}'")
    return Script(f"Run '{path}'", (), _default_shell(), None, path, ".sh")


def _default_shell() -> tuple[str, ...]:
    return (shutil.which("bash") or shutil.which("sh") or "/bin/sh", "-e", "{0}")


def _named_shell(wanted: str) -> tuple[str, ...]:
    template = _SHELLS.get(wanted, wanted)
    if "{0}" not in template:
        raise BadScript(f"Invalid shell option '{wanted}'. Use bash, sh, python or a command with {{0}}.")
    program, *rest = template.split()
    found = shutil.which(program)
    if program == "python":
        found = found or shutil.which("python3")
    if found is None:
        raise BadScript(f"{program}: command not found")
    return (found, *rest)
