"""Starts the server of one cache, and waits until jobs can reach it.

It runs as the user whose jobs share the cache, since it is the server that runs their compilers and writes their
outputs; with an environment of its own, since what it is started with holds for everybody.
"""

import os
import pwd
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from andon.agent.caches.cache_folder import INSIDE, LONGEST_SOCKET, CacheFolder, CacheKey, ServerRecord
from andon.agent.process_identity import start_ticks
from andon.rules.cache_words import as_setting
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused

LIMIT_S = 5.0
"""A server opens its socket in some 50 ms."""
_LOOK_S = 0.02
BUSY = 0
"""What `listener` says of one that answers nobody right now: more clients than it takes in at once."""


class ServerUser:
    """Whom a server becomes. Raises Refused when that user is not there, or when we may not become it."""

    def __init__(self, key: CacheKey) -> None:
        self.uid, self.gid, self.groups = key.uid, os.getegid(), None
        self.home = "/"
        if key.uid == os.geteuid():
            return
        if os.geteuid() != 0:
            raise Refused(f"Only root can serve a compile cache to the user {key.user}. Run the agent as root.")
        try:
            entry = pwd.getpwuid(key.uid)
        except KeyError:
            raise Refused(f"No user of this host has the number {key.uid}, so nobody can serve its cache.") from None
        self.gid = entry.pw_gid
        self.groups = os.getgrouplist(entry.pw_name, entry.pw_gid)

    def as_options(self) -> dict[str, object]:
        """For `subprocess`; nothing when that is who we are."""
        if self.groups is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": self.groups}


def server_environment(cap: int) -> dict[str, str]:
    """All of it."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "SCCACHE_START_SERVER": "1",
        "SCCACHE_NO_DAEMON": "1",
        "SCCACHE_IDLE_TIMEOUT": "0",
        # A file in somebody's home would have a say otherwise.
        "SCCACHE_CONF": "/dev/null",
        "SCCACHE_DIR": f"{INSIDE}/data",
        "SCCACHE_CACHE_SIZE": as_setting(cap),
        "SCCACHE_SERVER_UDS": f"{INSIDE}/door.sock",
    }


async def start_server(
    key: CacheKey,
    folder: CacheFolder,
    program: Path,
    cap: int,
    *,
    boot: str,
    reap: Callable[["subprocess.Popen[bytes]"], None],
    clock: Clock,
) -> ServerRecord:
    """Returns once the socket is where jobs find it. `reap` gets the child, which is ours to wait for.

    Raises Refused, with nothing left running.
    """
    if len(os.fsencode(folder.door)) > LONGEST_SOCKET:
        raise Refused(f"{folder.door} is too long for a socket's address. Give [agent] root a shorter path.")
    user = ServerUser(key)
    try:
        folder.make(user.uid, user.gid)
        folder.born.unlink(missing_ok=True)
        # It goes on when this program ends: asyncio would end it with its loop.
        child = subprocess.Popen(  # noqa: ASYNC220
            [str(program)],
            env=server_environment(cap),
            cwd=folder.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **user.as_options(),  # pyright: ignore[reportArgumentType,reportCallIssue]
        )
    except OSError as error:
        raise Refused(f"{program} does not start ({error}). Correct [agent.sccache] program.") from None
    reap(child)
    try:
        await _until_open(child, folder.born, program, clock)
        start = start_ticks(child.pid)
        if start is None:
            raise Refused(f"{program} ended as soon as it had begun to serve.")
        record = ServerRecord(pid=child.pid, start=start, boot=boot, cap=cap, program=str(program))
        folder.write_down(record)
        open_door(folder)
    except BaseException as error:
        child.kill()
        if isinstance(error, OSError):
            raise Refused(f"The socket of the compile cache cannot be put in its place ({error}).") from None
        raise
    return record


async def _until_open(child: "subprocess.Popen[bytes]", born: Path, program: Path, clock: Clock) -> None:
    until = clock.monotonic() + LIMIT_S
    while listener(born) is None:
        ended = child.poll()
        if ended is not None:
            raise Refused(f"{program} ended with {ended} instead of serving. Look whether it is sccache.")
        if clock.monotonic() >= until:
            raise Refused(
                f"{program} opened no socket within {LIMIT_S:g} s. Look whether it is sccache, of a version that "
                "knows SCCACHE_SERVER_UDS."
            )
        await clock.sleep(_LOOK_S)


def listener(door: Path) -> int | None:
    """The pid of who listens behind this socket; None: nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as line:
        try:
            # Through the folder's descriptor: the way there may be longer than an address may be.
            folder = os.open(door.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                line.connect(f"/proc/self/fd/{folder}/{door.name}")
            finally:
                os.close(folder)
            return struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        except BlockingIOError:
            # So many ask that they queue.
            return BUSY
        except OSError:
            return None


def open_door(folder: CacheFolder) -> None:
    """Puts the socket where jobs find it, in the place of whatever is there. Raises OSError."""
    fresh = folder.door.with_name(f".{folder.door.name}")
    fresh.unlink(missing_ok=True)
    fresh.hardlink_to(folder.born)
    fresh.rename(folder.door)
    # Two names of one socket are left as they are by a rename.
    fresh.unlink(missing_ok=True)
