"""Starts one runner for a claim: its folder, then its shim with the order on standard input."""

import fcntl
import json
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path

import msgspec

from andon.agent.claim_record import ClaimRecord, write_claim
from andon.agent.held import NEW_MARK
from andon.agent.install_copy import copy_install, install_folder
from andon.agent.installed_programs import Programs
from andon.agent.layout import Root
from andon.agent.slot_table import Slot
from andon.agent.slot_user import SlotUser, find_user
from andon.model.wire import ClaimOrder
from andon.runtime.environment import without_secrets

_OF_THE_SERVICE = re.compile(r"(NOTIFY_SOCKET|LISTEN_\w+|INVOCATION_ID|JOURNAL_STREAM|MAINPID|WATCHDOG_\w+)\Z")
_FIRST_SPARE_FD = 64
"""Descriptors are moved up here first, so that no dup2 into 0..5 overwrites another's source."""


class Launcher(msgspec.Struct, frozen=True, kw_only=True):
    """All that a start needs beside the order itself."""

    host: str
    root: Root
    programs: Programs
    boot_id: str
    cgroup_base: Path | None
    environ: Mapping[str, str]


class Launched(msgspec.Struct, frozen=True, kw_only=True):
    """A shim that was started: its pid, and a reading end of the runner's output.

    The reading end is not read while the shim lives; it keeps the pipe open if the shim dies.
    """

    shim_pid: int
    output: int


def make_claim_folder(root: Root, record: ClaimRecord) -> tuple[Path, int]:
    """Makes the claim's folder, whole or not at all; returns it with its lock, held.

    Whoever holds the lock says "something lives here": the agent until it hands it to the shim.
    Raises OSError; FileExistsError for a second start of one claim.
    """
    folder = root.claim(record.slot, record.claim)
    folder.parent.mkdir(mode=0o755, exist_ok=True)
    fresh = folder.with_name(NEW_MARK + folder.name)
    fresh.mkdir(mode=0o755, exist_ok=True)
    fresh.chmod(0o755)
    write_claim(fresh, record)
    lock = os.open(fresh / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.exists():
            raise FileExistsError(f"{folder} is there already")
        fresh.rename(folder)
    except OSError:
        os.close(lock)
        raise
    return folder, lock


async def prepare(folder: Path, slot: Slot) -> tuple[tuple[str, ...], SlotUser | None]:
    """Makes the runner's own directory; returns its command there and whom it becomes.

    Raises Refused for a user that is not there, CopyFailed, and OSError.
    """
    user = find_user(slot.user) if slot.user else None
    home = folder / "runner"
    home.mkdir(mode=0o700)
    source = install_folder(slot.command)
    command = slot.command
    if source is not None:
        await copy_install(source, home, user)
        command = (str(home / Path(command[0]).name), *command[1:])
    if user is not None:
        os.chown(home, user.uid, user.gid)
    return command, user


def runner_environment(launcher: Launcher, order: ClaimOrder, user: SlotUser | None) -> dict[str, str]:
    """The runner's environment: what the agent's service manager meant for the agent is left out."""
    inherited = without_secrets(launcher.environ)
    env = {name: value for name, value in inherited.items() if not _OF_THE_SERVICE.match(name)}
    if user is not None:
        env |= {"HOME": user.home, "USER": user.name, "LOGNAME": user.name}
    return env | {
        "ACTIONS_RUNNER_INPUT_JITCONFIG": order.jit,
        "ACTIONS_RUNNER_HOOK_JOB_STARTED": str(launcher.programs.job_started),
        "ACTIONS_RUNNER_HOOK_JOB_COMPLETED": str(launcher.programs.job_completed),
        "ANDON_RUNNER_NAME": order.runner,
        "ANDON_SOCKET": str(launcher.root.socket),
        "ANDON_HOST": launcher.host,
        "ANDON_SLOT": str(order.slot),
    }


def start_shim(
    launcher: Launcher, folder: Path, lock: int, order: ClaimOrder, command: tuple[str, ...], user: SlotUser | None
) -> Launched:
    """Starts the shim, which starts the runner and holds `lock` from now on. Raises OSError; then nothing runs."""
    base = launcher.cgroup_base
    request = {
        "folder": str(folder),
        "nudge_folder": str(launcher.root.run),
        "boot_id": launcher.boot_id,
        "secret": order.jit,
        "command": list(command),
        "cwd": str(folder / "runner"),
        "env": runner_environment(launcher, order, user),
        "user": msgspec.to_builtins(user) if user else None,
        "cgroup": str(base / f"{order.slot}.{order.id}") if base else None,
    }
    opened: list[int] = []

    def keep(file: int) -> int:
        moved = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _FIRST_SPARE_FD)
        os.close(file)
        opened.append(moved)
        return moved

    try:
        # Memory, not a file: the order holds the JIT config (R26).
        paper = keep(os.memfd_create("order", os.MFD_CLOEXEC))
        os.write(paper, json.dumps(request).encode())
        os.lseek(paper, 0, os.SEEK_SET)
        nothing = keep(os.open("/dev/null", os.O_WRONLY))
        held = keep(os.dup(lock))
        reading, writing = (keep(file) for file in os.pipe())
        python = str(launcher.programs.interpreter)
        pid = os.posix_spawn(
            python,
            [python, "-I", "-S", str(launcher.programs.shim), launcher.host, str(order.slot)],
            {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, source, target)
                for target, source in enumerate((paper, nothing, nothing, held, reading, writing))
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE,),
        )
        output = fcntl.fcntl(reading, fcntl.F_DUPFD_CLOEXEC, _FIRST_SPARE_FD)
    finally:
        for file in opened:
            os.close(file)
    return Launched(shim_pid=pid, output=output)
