"""One try of what a runner's start needs, on one slot: a process, a file, a directory, as the slot's user (R43)."""

import asyncio
import contextlib
import errno
import json
import os
import signal
from pathlib import Path

import msgspec

from andon.agent.adoption.reach import groups_of, owner_of
from andon.agent.adoption.slots import AdoptedSlot
from andon.agent.cgroups import remove_cgroup
from andon.agent.launch import Launcher
from andon.agent.layout import Root
from andon.agent.process_identity import start_ticks
from andon.agent.slot_table import Slot
from andon.agent.slot_user import SlotUser, find_user
from andon.agent.trees.delete import empty_trash
from andon.rules.start_words import cannot_start, takes_too_long
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused

FOLDER = ".probe"
"""Below the slot's folder, beside those of its claims; no claim is called so."""
LIMIT_S = 5.0
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_GONE_S = 1.0


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A try that failed."""

    reason: str
    """One sentence with what to do."""
    no_room: bool = False
    hung: int | None = None
    """The process that even SIGKILL did not end yet: no other is to be started beside it."""


async def try_start(launcher: Launcher, slot: Slot, *, clock: Clock, limit_s: float = LIMIT_S) -> Failed | None:
    """Tries it; None: it worked. Nothing is left behind, except by what hangs."""
    folder = launcher.root.slots / str(slot.number) / FOLDER
    base = launcher.cgroup_base
    cgroup = str(base / f"probe.{slot.number}") if base is not None else None
    try:
        user = find_user(slot.user) if slot.user else None
        folder.parent.mkdir(mode=0o755, exist_ok=True)
        if not _made(folder):
            await asyncio.to_thread(remove_left, folder)
            _make(folder)
        if user is not None:
            os.chown(folder, user.uid, user.gid)
        return await _run(launcher, _order(folder, user, limit_s, cgroup=cgroup), folder.parent, clock, limit_s)
    except Refused as error:
        return Failed(reason=str(error))
    except OSError as error:
        return _failed("making a directory", folder.parent, error.errno or 0)
    finally:
        remove_cgroup(cgroup)
        with contextlib.suppress(OSError):
            folder.rmdir()


async def try_adopted(
    launcher: Launcher, slot: AdoptedSlot, *, clock: Clock, limit_s: float = LIMIT_S
) -> Failed | None:
    """The same for an adopted runner, by a file without a name in its work folder: nothing in that is changed.

    Nothing is tried where the agent may not become that user; no file where the folder is still to be made.
    """
    if os.geteuid() not in (0, slot.uid):
        return None
    user = None
    if os.geteuid() != slot.uid:
        groups = tuple(groups_of(slot.uid, slot.gid))
        user = SlotUser(name=owner_of(slot.uid) or "", uid=slot.uid, gid=slot.gid, groups=groups, home="/")
    try:
        return await _run(launcher, _order(slot.work, user, limit_s, unnamed=True), slot.work, clock, limit_s)
    except OSError as error:
        return _failed("starting a process", slot.work, error.errno or 0)


def _order(
    folder: Path, user: SlotUser | None, limit_s: float, *, cgroup: str | None = None, unnamed: bool = False
) -> dict[str, object]:
    return {
        "folder": str(folder),
        "unnamed": unnamed,
        "user": msgspec.to_builtins(user) if user else None,
        "cgroup": cgroup,
        "seconds": max(1, round(2 * limit_s)),
    }


def still_hangs(pid: int) -> bool:
    """Whether this process of a try lives; one that is gone is taken note of."""
    if start_ticks(pid) is not None:
        return True
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return False


def clear_left(root: Root) -> None:
    """What an agent left that was ended in a try, whether its slot is still configured or not. At its start only."""
    for slot in root.slots.iterdir():
        remove_left(slot / FOLDER)


def remove_left(folder: Path) -> None:
    """What a try left behind that was broken off. Where something stays, the next try says so."""
    try:
        folder.rmdir()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        try:
            empty_trash(folder)
            folder.rmdir()
        except OSError:
            return


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700)


def _made(folder: Path) -> bool:
    """False: one that was broken off has left it."""
    try:
        _make(folder)
    except FileExistsError:
        return False
    return True


def _reaped(pid: int) -> int:
    """The exit code of a child that is known to have ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def _run(launcher: Launcher, order: object, place: Path, clock: Clock, limit_s: float) -> Failed | None:
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            pid = _spawn(launcher, json.dumps(order), writing)
        except OSError as error:
            return _failed("starting a process", place, error.errno or 0)
        try:
            in_time = await _ended(pid, clock, limit_s)
        except BaseException:
            os.killpg(pid, signal.SIGKILL)
            raise
        if not in_time:
            os.killpg(pid, signal.SIGKILL)
            gone = await _ended(pid, clock, _GONE_S)
            if gone:
                _reaped(pid)
                await asyncio.to_thread(remove_left, place / FOLDER)
            return Failed(reason=takes_too_long(str(place), limit_s), hung=None if gone else pid)
        code = _reaped(pid)
        if code == 0:
            return None
        return _said(reading, place, code)
    finally:
        os.close(reading)
        os.close(writing)


def _spawn(launcher: Launcher, order: str, output: int) -> int:
    python = str(launcher.programs.interpreter)
    return os.posix_spawn(
        python,
        [python, "-I", "-S", str(launcher.programs.start_probe), order],
        {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE,),
    )


async def _ended(pid: int, clock: Clock, within_s: float) -> bool:
    """Whether the child ended in time. By its pidfd: a thread that waits could be the one too many."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[bool] = loop.create_future()

    def end(how: bool) -> None:
        if not over.done():
            over.set_result(how)

    file = os.pidfd_open(pid)
    loop.add_reader(file, end, True)
    call_off = clock.after(within_s, lambda: end(False))
    try:
        return await over
    finally:
        call_off()
        loop.remove_reader(file)
        os.close(file)


def _said(output: int, place: Path, code: int) -> Failed:
    try:
        told = json.loads(os.read(output, 4096))
        return _failed(str(told["step"]), place, int(told["errno"]))
    except (OSError, ValueError, KeyError, TypeError):
        how = f"exit {code}" if code >= 0 else f"signal {-code}"
        return Failed(reason=cannot_start("starting a process", str(place), 0, how))


def _failed(step: str, place: Path, number: int) -> Failed:
    meaning = os.strerror(number) if number else "no reason given"
    return Failed(reason=cannot_start(step, str(place), number, meaning), no_room=number in NO_ROOM)
