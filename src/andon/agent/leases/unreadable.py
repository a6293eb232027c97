"""Processes that we may not look into, and for which workspaces they matter.

Without root another user's process shows neither its links nor its environment. It would be wrong to
pass it over (a step may have started it with sudo), and as wrong to let every system service pin
every workspace for ever. Containers need no guess: mounts can be read without any right.

Such a process matters to a lease when it began after the job's process and
- runs as the job's own user (it only hides itself: ssh-agent, a program with capabilities), or
- its session's leader runs as the job's user, or is gone while the process is in our own cgroup or
  below it (what `sudo something &` leaves behind). A service has a session and a cgroup of its own.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from andon.agent.process_identity import start_ticks
from andon.model.workspaces import LeaseRecord


class Stranger(msgspec.Struct, frozen=True, kw_only=True):
    """What may be known of a process by anybody."""

    pid: int
    start: int
    """Clock ticks since boot."""
    uid: int
    leader_uid: int | None
    """The user of its session's leader; None: that one is gone."""
    near: bool
    """It is in our own cgroup, or below it."""


def matters(stranger: Stranger, record: LeaseRecord) -> bool:
    """Whether the lease's workspace cannot be called unused because of this process."""
    job = record.process
    return job is not None and stranger.start >= job.start and may_use(stranger, job.uid)


def may_use(stranger: Stranger, uid: int) -> bool:
    """Whether it may use what belongs to this user."""
    if uid in (stranger.uid, stranger.leader_uid):
        return True
    return stranger.leader_uid is None and stranger.near


def _uid(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116
    except OSError:
        return None


def _group(pid: int | str) -> str | None:
    """The cgroup's path: of version 2, or of systemd's own hierarchy."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for mark in ("0::", "name=systemd:"):
        for line in lines:
            _, found, path = line.partition(mark)
            if found:
                return path
    return None


def look_at(pids: Iterable[int]) -> tuple[Stranger, ...]:
    """What may be known of each of these processes; those that are gone are left out."""
    own = _group("self")
    out: list[Stranger] = []
    for pid in pids:
        start, uid = start_ticks(pid), _uid(pid)
        try:
            leader = os.getsid(pid)
        except OSError:
            continue
        if start is None or uid is None:
            continue
        group = _group(pid)
        near = own is None or group is None or group == own or group.startswith(f"{own.rstrip('/')}/")
        out.append(Stranger(pid=pid, start=start, uid=uid, leader_uid=_uid(leader), near=near))
    return tuple(out)
