"""Ends the runners that a stage's agents started: they survive their agents on purpose (R87).

Found by what the agent keeps about them, and by the address of its socket, which everything that
a runner starts carries in its environment.
"""

import os
import signal
from pathlib import Path

from andon.agent.cgroups import cgroup_base, end_cgroup, remove_cgroup
from andon.agent.held import look
from andon.agent.layout import Root
from andon.agent.process_identity import all_pids, boot_id, end_session, start_ticks
from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.sim.stage.process import signal_process

_PATIENCE_S = 10.0
_PAUSE_S = 0.02


async def end_runners(folder: Path, clock: Clock) -> None:
    """Returns when nothing lives that an agent with the root `folder` started; the agent has ended.

    Raises AndonError, with the pids, for what does not end.
    """
    root = Root(path=folder)
    until = clock.monotonic() + _PATIENCE_S
    while True:
        left = _end_once(root)
        if not left:
            break
        if clock.monotonic() > until:
            raise AndonError(f"{folder}: processes of the fleet live on after SIGKILL: {sorted(left)}.")
        await clock.sleep(_PAUSE_S)
    base = cgroup_base(root)
    remove_cgroup(str(base) if base is not None else None)


def _end_once(root: Root) -> set[int]:
    """One look at everything that lives, each told to end; returns whom it found."""
    found: set[int] = set()
    if root.slots.is_dir():
        for one in look(root, boot_id()):
            status = one.status
            if one.live and status is not None and status.pid is not None and status.pid_start is not None:
                found.add(status.pid)
                end_cgroup(status.cgroup)
                end_session(status.pid, status.pid_start)
            elif one.live:
                # A shim at its start: it writes down its runner in a moment.
                found.add(status.shim_pid if status is not None and status.shim_pid is not None else 0)
    for pid, start in _carriers(root):
        found.add(pid)
        signal_process(pid, start, signal.SIGKILL)
    return found | _shims(root)


def _carriers(root: Root) -> list[tuple[int, int]]:
    """Processes below a runner of this root, wherever they moved to."""
    mark = f"ANDON_SOCKET={root.socket}".encode()
    out: list[tuple[int, int]] = []
    for pid in all_pids():
        start = start_ticks(pid)
        try:
            if start is not None and mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                out.append((pid, start))
        except OSError:
            continue
    return out


def _shims(root: Root) -> set[int]:
    """Shims of this root: they end by themselves once their runner has, and have nothing to lose then."""
    start_of_line = [b"-I", b"-S", os.fsencode(root.bin / "shim.py")]
    out: set[int] = set()
    for pid in all_pids():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[1:4] == start_of_line and start_ticks(pid) is not None:
            out.add(pid)
    return out
