"""The process table, read from /proc: what lives below a process, and what a job left behind."""

import os
import signal
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Leftover(NamedTuple):
    """A process that a job started and did not end."""

    pid: int
    name: str


def end_tree(pid: int) -> None:
    """SIGKILL for `pid`, its process group and everything below it, wherever it moved to."""
    below = descendants(pid)
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    for one in (pid, *below):
        end(one)


def end(pid: int) -> None:
    """SIGKILL, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def descendants(pid: int) -> tuple[int, ...]:
    """Every process below `pid` just now."""
    children: dict[int, list[int]] = {}
    for one in _pids():
        parent = _parent(one)
        if parent is not None:
            children.setdefault(parent, []).append(one)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            found.append(child)
            waiting.append(child)
    return tuple(found)


def tracked(tracking_id: str) -> tuple[Leftover, ...]:
    """Processes that carry the job's RUNNER_TRACKING_ID; one that cleared it is not found."""
    wanted = b"RUNNER_TRACKING_ID=" + tracking_id.encode()
    own = os.getpid()
    found: list[Leftover] = []
    for pid in _pids():
        if pid == own:
            continue
        try:
            if wanted in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                name = (_PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
                found.append(Leftover(pid, name))
        except OSError:
            continue
    return tuple(found)


def _pids() -> list[int]:
    return [int(path.name) for path in _PROC.iterdir() if path.name.isdigit()]


def _parent(pid: int) -> int | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name stands in parentheses and may itself hold any character.
    return int(stat.rpartition(b")")[2].split()[1])
