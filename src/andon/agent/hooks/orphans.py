"""What hooks made while the agent was away: read with doubt, because every slot's user may write here.

A record is believed only where its file, its directory and its process belong to one user, and the
directory lies where a hook of that slot may make one. What cannot be believed is told, not deleted.
"""

import fcntl
import os
import re
import stat

import msgspec

from andon.agent.hooks.requests import Hook, HookRequest, identity_of
from andon.agent.layout import Root
from andon.agent.process_identity import lives
from andon.model.workspaces import JobIdentity
from andon.runtime.errors import Refused

_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,10}-[a-z0-9-]{1,32}-[0-9a-z]{10}\Z", re.ASCII)
_MAX_BYTES = 128 * 1024
_MAX_RECORDS = 10_000


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """One directory that a hook made by itself, and the process it was made for."""

    id: str
    boot_id: str
    pid: int
    start: int
    slot: int
    path: str
    device: int
    inode: int
    uid: int
    gid: int
    job: JobIdentity | None
    """None: the hook's environment named none; it is kept like any other."""


class Doubtful(msgspec.Struct, frozen=True, kw_only=True):
    """A record that is not believed, and why."""

    name: str
    reason: str


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    boot_id: str
    pid: int
    start: int
    slot: int
    path: str
    env: dict[str, str] = {}


def read_orphans(root: Root) -> tuple[tuple[Orphan, ...], tuple[Doubtful, ...]]:
    """Every record below `orphans/`. Raises OSError when the folder cannot be read."""
    orphans: list[Orphan] = []
    doubtful: list[Doubtful] = []
    folder = os.open(root.orphans, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208
        for name in sorted(names)[:_MAX_RECORDS]:
            try:
                orphans.append(_read(root, folder, name))
            except Refused as refused:
                doubtful.append(Doubtful(name=name, reason=str(refused)))
            except OSError as error:
                doubtful.append(Doubtful(name=name, reason=f"It cannot be read ({error.strerror})."))
    finally:
        os.close(folder)
    return tuple(orphans), tuple(doubtful)


def clear_dead_notes(root: Root, boot_id: str) -> int:
    """Removes what hooks left that were ended half-way: a note half written, one whose directory was never made.

    Called at a start; returns how many. Only where the writer is gone: it holds its file's lock until the note
    is whole, and the note names the process. Raises OSError when the folder cannot be read.
    """
    cleared = 0
    folder = os.open(root.orphans, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for name in sorted(os.listdir(folder))[:_MAX_RECORDS]:  # noqa: PTH208
            if _ID.match(name.removeprefix(".")) is not None and _is_dead(root, folder, name, boot_id):
                os.unlink(name, dir_fd=folder)
                cleared += 1
    finally:
        os.close(folder)
    return cleared


def _is_dead(root: Root, folder: int, name: str, boot_id: str) -> bool:
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return False
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if name.startswith("."):
            return True
        record = msgspec.json.decode(os.read(file, _MAX_BYTES), type=_Record)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return False
    finally:
        os.close(file)
    place = root.standalone / str(record.slot) / name
    return not place.exists() and (record.boot_id != boot_id or not lives(record.pid, record.start))


def forget_orphan(root: Root, name: str) -> None:
    """Takes a record away, once its directory is adopted or gone. Raises OSError."""
    folder = os.open(root.orphans, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    finally:
        os.close(folder)


def _read(root: Root, folder: int, name: str) -> Orphan:
    # Neither a link nor a pipe may hold us up.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=folder)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_size > _MAX_BYTES:
            raise Refused("It is no file of a hook.")
        content = os.read(file, _MAX_BYTES)
    finally:
        os.close(file)
    try:
        record = msgspec.json.decode(content, type=_Record)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Refused("It is no record of a hook.") from None
    place, _, last = record.path.rpartition("/")
    if record.id != name or last != name or not _ID.match(name):
        raise Refused("It names another directory than itself.")
    if place != str(root.standalone / str(record.slot)) and (not place.endswith("/_andon") or ".." in place.split("/")):
        raise Refused("Its directory lies where no hook makes one.")
    made = os.lstat(record.path)
    if not stat.S_ISDIR(made.st_mode) or made.st_uid != found.st_uid:
        raise Refused("What stands in its directory's place is not its own.")
    try:
        job = identity_of(HookRequest(hook=Hook.STARTED, env=record.env))
    except Refused:
        job = None
    return Orphan(
        id=name,
        boot_id=record.boot_id,
        pid=record.pid,
        start=record.start,
        slot=record.slot,
        path=record.path,
        device=made.st_dev,
        inode=made.st_ino,
        uid=made.st_uid,
        gid=made.st_gid,
        job=job,
    )
