"""Which process is meant: a pid alone is used again, with boot id and start time it is not."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

_DEAD = (b"Z", b"X")
_MOST_PARENTS = 200


def boot_id() -> str:
    """This boot of this machine, as the kernel names it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_ticks(pid: int) -> int | None:
    """When process `pid` began, in clock ticks since boot; None when no such process lives."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in _DEAD else int(fields[19])


def lives(pid: int | None, start: int | None) -> bool:
    """Whether the process that began at `start` ticks still runs."""
    return pid is not None and start is not None and start_ticks(pid) == start


def open_process(pid: int, start: int | None) -> int | None:
    """A pidfd that names exactly this process; None when it is gone.

    `start` None skips the check, for a child of ours that nobody but us can have reaped.
    """
    try:
        file = os.pidfd_open(pid)
    except OSError:
        return None
    # Checked after opening: from now on the descriptor cannot mean another process.
    if start is not None and start_ticks(pid) != start:
        os.close(file)
        return None
    return file


def signal_group(pid: int, start: int | None, number: int) -> bool:
    """Sends a signal to the process group that `pid` leads, while its leader is the one we mean."""
    file = open_process(pid, start)
    if file is None:
        return False
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(file)
    return True


def all_pids() -> Iterator[int]:
    """Every process that this one can see."""
    for name in os.listdir("/proc"):  # noqa: PTH208 (a Path for each of them costs more than the look)
        if name.isdigit():
            yield int(name)


def end_session(leader: int, start: int) -> None:
    """Ends by SIGKILL what is left of the session that `leader` began at `start` ticks.

    Its number stays taken while a member lives, so members that began later are its own.
    """
    for pid in all_pids():
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        began = int(fields[19])
        if int(fields[3]) != leader or began < start or fields[0] in _DEAD or (pid == leader and began != start):
            continue
        file = open_process(pid, began)
        if file is not None:
            try:
                signal.pidfd_send_signal(file, signal.SIGKILL)
            except ProcessLookupError:
                pass
            finally:
                os.close(file)


def line_of(pid: int) -> list[int]:
    """A process and those that it comes from, nearest first; as far as they live."""
    out: list[int] = []
    while pid > 1 and len(out) < _MOST_PARENTS:
        out.append(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        except OSError:
            break
    return out


def is_of(pid: int, job: int) -> bool:
    """Whether a process belongs to the job's: comes from it, or is one that it comes from."""
    return job in line_of(pid) or pid in line_of(job)
