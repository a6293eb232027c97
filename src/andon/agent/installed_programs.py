"""Puts our own small programs below the root: the shim, the start probe, the hook and the two hook scripts.

Written atomically, outside any virtual environment, so that an upgrade of the package in the
middle of a job replaces nothing under a running program.
"""

import shlex
from importlib import resources
from pathlib import Path

import msgspec

from andon.agent.layout import Root
from andon.runtime.files import write_atomically


class Programs(msgspec.Struct, frozen=True, kw_only=True):
    """Where the programs stand that runners and their hooks need."""

    interpreter: Path
    shim: Path
    start_probe: Path
    job_started: Path
    job_completed: Path


def _source(name: str) -> bytes:
    return resources.files("andon.agent").joinpath("programs", name).read_bytes()


def _put(path: Path, content: bytes, mode: int) -> None:
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content, mode=mode)


def install_programs(root: Root, interpreter: Path) -> Programs:
    """Writes what is missing or different. Raises OSError."""
    _put(root.bin / "shim.py", _source("shim.py"), 0o644)
    _put(root.bin / "start_probe.py", _source("start_probe.py"), 0o644)
    _put(root.hooks / "hook.py", _source("hook.py"), 0o644)
    scripts: list[Path] = []
    for event in ("started", "completed"):
        script = root.hooks / f"job-{event}.sh"
        _put(script, hook_script(interpreter, root.hooks / "hook.py", event).encode(), 0o755)
        scripts.append(script)
    return Programs(
        interpreter=interpreter,
        shim=root.bin / "shim.py",
        start_probe=root.bin / "start_probe.py",
        job_started=scripts[0],
        job_completed=scripts[1],
    )


def hook_script(interpreter: Path, hook: Path, event: str) -> str:
    """One line of shell: a missing interpreter must not fail a job (interfaces.md section 4)."""
    python = shlex.quote(str(interpreter))
    return f"[ -x {python} ] || exit 0; exec {python} -I -S {shlex.quote(str(hook))} {event}\n"
