"""Starts an adopted runner's listener again: by its own systemd unit, else by its `run.sh` as its user.

The unit's name was read in a folder where jobs can write, so systemd is asked first whether it is
this folder's. `run.sh` gets a session and a cgroup of its own and outlives the agent.
"""

import asyncio
import os
import pwd
import subprocess
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from pathlib import Path

from andon.agent.adoption.reach import groups_of
from andon.agent.adoption.records import Adoption
from andon.runtime.errors import AndonError

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE_S = 10.0
_WAIT_THEN_RUN = 'read -r _ && exec "$1" </dev/null'
"""The process waits until it stands in its cgroup: what it starts stands there, too."""


class NotStarted(AndonError):
    """The listener could not be started."""


def why_not(adoption: Adoption) -> str | None:
    """Why this agent may not start the runner; None: it may try."""
    if os.geteuid() not in (0, adoption.uid):
        return f"only root or its own user (uid {adoption.uid}) may start it"
    return None


async def start_by_unit(adoption: Adoption, environ: Mapping[str, str]) -> bool:
    """Starts the folder's unit without waiting for it; False when it has none of its own.

    Raises NotStarted when systemd refuses.
    """
    unit = adoption.unit
    if unit is None or os.geteuid() != 0:
        return False
    code, said = await _systemctl(environ, "show", "--property=LoadState,WorkingDirectory", "--", unit)
    facts = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if code != 0 or facts.get("LoadState") != "loaded":
        return False
    if not _is_same(facts.get("WorkingDirectory", ""), adoption.path):
        return False
    code, said = await _systemctl(environ, "start", "--no-block", "--", unit)
    if code != 0:
        last = said.strip().splitlines()[-1:] or ["no reason given"]
        raise NotStarted(f"systemctl start {unit}: {last[0]}")
    return True


def _is_same(named: str, folder: Path) -> bool:
    # systemd marks with "-" a folder that need not be there, with "!" one that was not changed to.
    return Path(named.lstrip("-!")) == folder if named else False


async def _systemctl(environ: Mapping[str, str], *words: str) -> tuple[int, str]:
    """The command's exit code and words; 127 where there is none. Never waits longer than ten seconds."""
    env = {"PATH": environ.get("PATH", _PATH), "LC_ALL": "C.UTF-8"}
    try:
        process = await asyncio.create_subprocess_exec(
            "systemctl", *words, stdin=DEVNULL, stdout=PIPE, stderr=subprocess.STDOUT, env=env
        )
    except OSError:
        return 127, ""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            said, _ = await process.communicate()
    except TimeoutError:
        return 124, "systemctl did not answer"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode("utf-8", "replace")


def start_by_script(adoption: Adoption, log: Path, cgroup: str | None) -> "subprocess.Popen[bytes]":
    """Starts `run.sh` as the folder's owner; its output goes to `log`. Raises NotStarted."""
    script = adoption.path / "run.sh"
    if not script.is_file():
        raise NotStarted(f"{script}: there is no such file")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    other = os.geteuid() != adoption.uid
    try:
        output = os.open(log, flags, 0o600)
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _WAIT_THEN_RUN, "sh", str(script)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=adoption.path,
                env=_environment(adoption.uid),
                start_new_session=True,
                user=adoption.uid if other else None,
                group=adoption.gid if other else None,
                extra_groups=sorted(groups_of(adoption.uid, adoption.gid)) if other else None,
            )
        finally:
            os.close(output)
    except OSError as error:
        raise NotStarted(f"{script}: it could not be started ({error.strerror})") from None
    assert process.stdin is not None
    _enter(cgroup, process.pid)
    try:
        process.stdin.write(b"go\n")
        process.stdin.close()
    except OSError:
        # It ended already; the next look says so.
        pass
    return process


def _enter(cgroup: str | None, pid: int) -> None:
    """Best effort: without a cgroup of its own the session has to do."""
    if cgroup is None:
        return
    try:
        Path(cgroup).mkdir(parents=True, exist_ok=True)
        Path(cgroup, "cgroup.procs").write_text(str(pid), encoding="ascii")
    except OSError:
        pass


def _environment(uid: int) -> dict[str, str]:
    """Nothing of ours: the runner reads its own `.env` and `.path`."""
    env = {"PATH": _PATH, "LANG": "C.UTF-8"}
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return env
    return env | {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
