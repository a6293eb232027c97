"""Which job a hook belongs to: from the process that connected up to the job's own process.

By evidence of the kernel only. The peer is held by a pidfd while its ancestors are read, each by
pid and start time, and the whole way is read a second time: whatever died or came anew in between
makes the two differ. Job code can give a process of its own any name, yet only below the real
`Runner.Worker`; so the outermost one below the runner counts.
"""

import os
import select
import socket
import struct
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from andon.agent.held import Held
from andon.model.workspaces import JobProcess
from andon.runtime.errors import Refused

WORKER = frozenset((b"Runner.Worker", b"Runner.Worker.dll"))
LISTENER = frozenset((b"Runner.Listener", b"Runner.Listener.dll"))
_NAMED_WITHIN = 6
"""Words of a command line in which the program may stand: an interpreter and its options come first."""
_DEPTH = 200
_SO_PEERPIDFD = 77
"""Linux 6.5: a pidfd of whoever connected, which cannot mean a later process of that number."""
STRANGER = "This process belongs to no job of this host. Only a runner's hooks may ask for a workspace."


class RunnerProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A runner of ours under which jobs run: known by its process, or (adopted) by its folder."""

    slot: int
    claim: str | None
    runner: str
    """Its name at GitHub."""
    pid: int | None = None
    start: int | None = None
    cgroup: str | None = None
    folder: str | None = None
    """An adopted runner's install folder, without links in it."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The runner a hook belongs to, and the process of its job."""

    runner: RunnerProcess
    process: JobProcess


class _Ancestor(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    start: int
    parent: int


def runners_of(held: Iterable[Held]) -> tuple[RunnerProcess, ...]:
    """The runners of live claims."""
    return tuple(
        RunnerProcess(
            slot=one.claim.slot,
            claim=one.claim.claim,
            runner=one.claim.runner,
            pid=one.status.pid,
            start=one.status.pid_start,
            cgroup=one.status.cgroup,
        )
        for one in held
        if one.live and one.status is not None and one.status.pid is not None
    )


def find_caller(door: socket.socket, runners: Callable[[], Sequence[RunnerProcess]]) -> Caller:
    """Who connected to `door`. Raises Refused for a stranger and for one that died meanwhile."""
    with _peer(door) as (pid, file):
        way = _way_up(pid)
        found = _runner_on(way, runners())
        if found is None:
            raise Refused(STRANGER)
        runner, below = found
        job = next((one for one in reversed(below) if _is_called(one.pid, WORKER)), None)
        # A runner that is no official one may run its job itself.
        job = job or way[len(below)]
        process = _describe(job, runner)
        if _way_up(pid) != way or _has_ended(file):
            raise Refused("The process that called this hook is gone. Nothing was made for it.")
        return Caller(runner=runner, process=process)


def _has_ended(process: int) -> bool:
    """Whether the process of this pidfd is gone."""
    # Not select(): it knows no descriptor from 1024 on, and a host with many workspaces has them.
    look = select.poll()
    look.register(process, select.POLLIN)
    return bool(look.poll(0))


@contextmanager
def _peer(door: socket.socket) -> Generator[tuple[int, int]]:
    """Pid and pidfd of whoever connected. Raises Refused when it is gone."""
    pid, uid, _ = struct.unpack("3i", door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        file = door.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError:
        file = None
    try:
        file = os.pidfd_open(pid) if file is None else file
    except (OSError, ValueError):
        raise Refused(STRANGER) from None
    try:
        # Without the kernel's own pidfd a number used again shows, at least, in another owner.
        if _ids(pid)[0] != uid:
            raise Refused(STRANGER)
        yield pid, file
    finally:
        os.close(file)


def _way_up(pid: int) -> tuple[_Ancestor, ...]:
    """The process and its ancestors, nearest first, as far as this machine's first process."""
    way: list[_Ancestor] = []
    while pid > 1 and len(way) < _DEPTH:
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            break
        one = _Ancestor(pid=pid, start=int(fields[19]), parent=int(fields[1]))
        # A parent that began after its child is another process under the parent's number.
        if way and one.start > way[-1].start:
            break
        way.append(one)
        pid = one.parent
    return tuple(way)


def _runner_on(
    way: tuple[_Ancestor, ...], runners: Sequence[RunnerProcess]
) -> tuple[RunnerProcess, tuple[_Ancestor, ...]] | None:
    """The outermost runner of ours on the way up, with what lies below it."""
    by_process = {(one.pid, one.start): one for one in runners if one.pid is not None}
    by_folder = [one for one in runners if one.folder is not None]
    for place in range(len(way) - 1, -1, -1):
        one = way[place]
        runner = by_process.get((one.pid, one.start)) or _adopted(one.pid, by_folder)
        if runner is not None:
            return runner, way[:place]
    return None


def _adopted(pid: int, runners: Sequence[RunnerProcess]) -> RunnerProcess | None:
    if not runners or not _is_called(pid, LISTENER):
        return None
    for link in ("exe", "cwd"):
        try:
            place = Path(f"/proc/{pid}/{link}").readlink()
        except OSError:
            continue
        for runner in runners:
            if runner.folder is not None and place.is_relative_to(runner.folder):
                return runner
    return None


def _is_called(pid: int, names: frozenset[bytes]) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:_NAMED_WITHIN]
    except OSError:
        return False
    return any(word.rpartition(b"/")[2] in names for word in words)


def _ids(pid: int) -> tuple[int, int]:
    """Effective uid and gid. Raises Refused when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().splitlines()
    except OSError:
        raise Refused(STRANGER) from None
    found = {line[:4]: int(line.split()[2]) for line in lines if line[:4] in (b"Uid:", b"Gid:")}
    return found[b"Uid:"], found[b"Gid:"]


def _describe(job: _Ancestor, runner: RunnerProcess) -> JobProcess:
    uid, gid = _ids(job.pid)
    return JobProcess(pid=job.pid, start=job.start, uid=uid, gid=gid, cgroup=runner.cgroup)
