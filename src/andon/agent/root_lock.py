"""One agent for each root: an exclusive lock that the kernel takes back when the agent is gone.

A pid file alone proves nothing (pids are used again); who holds the lock is alive.
"""

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

from andon.agent.layout import Root
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused

_TRIES = 10
_PAUSE_S = 0.05


def _pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def live_agent_pid(root: Path) -> int | None:
    """The pid of the agent that lives on `root`; None when there is none."""
    path = Root(path=root).lock
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(path)
    finally:
        os.close(file)
    return None


@contextlib.contextmanager
def _held(file: int) -> Generator[None]:
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


async def lock_root(root: Root, clock: Clock) -> contextlib.AbstractContextManager[None]:
    """Takes the root's lock for as long as the returned context lasts.

    Raises Refused, naming the other's pid, when an agent lives on this root.
    """
    file = os.open(root.lock, os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Somebody who only asks for the agent holds the lock for a moment, too.
            await clock.sleep(_PAUSE_S)
        else:
            return _held(file)
    os.close(file)
    raise Refused(
        f"{root.path}: an agent (pid {_pid_in(root.lock)}) lives on this root already. "
        "Stop it, or give this one another [agent] root."
    )
