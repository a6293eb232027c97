"""What is mounted where, in the words of `/proc/PID/mountinfo`, and where a folder shows in it.

A bind mount on the same filesystem is invisible to `os.path.ismount`, and a container's use of a
folder to everything but this (host-facts.md 1.5, 1.6). A folder is told by its filesystem's device
and its path inside that filesystem, which are the same in every mount namespace.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One line of mountinfo."""

    number: int
    device: str
    """`major:minor` of the filesystem: not always `st_dev` (btrfs)."""
    root: str
    """What of the filesystem is mounted: a path inside it."""
    point: str
    """Where, as the process that was asked sees it."""
    kind: str
    """`ext4`, `nfs4`, `fuse.sshfs`, ..."""


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A folder's name that every mount namespace agrees on."""

    device: str
    inside: str
    around: str | None = None
    """A folder above it, inside the filesystem, that is its job's alone: its mounts count as the folder's own."""


class Sights(msgspec.Struct, frozen=True, kw_only=True):
    """How one folder shows in one mount namespace."""

    paths: tuple[str, ...]
    """Where it, or a part of it, can be reached."""
    mounts: tuple[str, ...]
    """Mount points that show it, a part of it, or what is around it, or that lie in it."""


def _plain(field: str) -> str:
    if "\\" not in field:
        return field
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field)


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Every mount that `text`, a mountinfo file, names; lines that make no sense are left out."""
    out: list[Mount] = []
    for line in text.split("\n"):
        fields = line.split(" ")
        if len(fields) < 10 or not fields[0].isdigit() or "-" not in fields[6:-1]:
            continue
        kind = fields[fields.index("-", 6) + 1]
        out.append(
            Mount(
                number=int(fields[0]),
                device=fields[2],
                root=_plain(fields[3]).removesuffix("//deleted"),
                point=_plain(fields[4]),
                kind=kind,
            )
        )
    return tuple(out)


def read_mountinfo(pid: int | str) -> str:
    """The mounts of a process's namespace, below its root. Raises OSError."""
    return os.fsdecode(Path(f"/proc/{pid}/mountinfo").read_bytes())


def _mount_number(file: int) -> int:
    for line in Path(f"/proc/self/fdinfo/{file}").read_text(encoding="ascii").splitlines():
        if line.startswith("mnt_id:"):
            return int(line.split()[1])
    return -1


def mount_of(path: Path, mounts: Iterable[Mount] | None = None) -> Mount | None:
    """The mount of our own namespace that `path` lies on, or its nearest parent that exists; None: not told."""
    while True:
        try:
            file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            break
        except OSError:
            if path == path.parent:
                return None
            path = path.parent
    try:
        number = _mount_number(file)
        known = parse_mounts(read_mountinfo("self")) if mounts is None else mounts
        return next((mount for mount in known if mount.number == number), None)
    except OSError:
        return None
    finally:
        os.close(file)


def mount_above(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """The mount that `path`, without links in it, lies on by its text alone: no filesystem is asked, so none hangs."""
    above = [mount for mount in mounts if _below(path, mount.point)]
    # Of two at one point, the later one is on top.
    return max(reversed(above), key=lambda mount: len(mount.point), default=None)


def locate(path: str, mounts: Iterable[Mount], *, around: str | None = None) -> Location | None:
    """Where the folder at `path`, without links in it, lies; None when it cannot be told.

    `around` is a folder above it that is its job's alone.
    """
    mount = mount_of(Path(path), mounts)
    if mount is None or not _below(path, mount.point):
        return None

    def inside(folder: str) -> str:
        return _joined(mount.root, folder[len(mount.point.rstrip("/")) :])

    # Where the workspace's filesystem begins below that folder, the folder is on another one.
    around = around if around is not None and _below(around, mount.point) else None
    return Location(device=mount.device, inside=inside(path), around=None if around is None else inside(around))


def sights(location: Location, mounts: Iterable[Mount]) -> Sights:
    """How the folder shows where these are the mounts."""
    paths: list[str] = []
    shown: list[str] = []
    mounts = tuple(mounts)
    for mount in mounts:
        if mount.device != location.device:
            continue
        if _below(mount.root, location.inside):
            shown.append(mount.point)
            paths.append(mount.point)
        elif _below(location.inside, mount.root):
            paths.append(_joined(mount.point, location.inside[len(mount.root.rstrip("/")) :]))
            if location.around is not None and _below(mount.root, location.around):
                shown.append(mount.point)
    below = tuple(f"{path}/" for path in paths)
    shown.extend(mount.point for mount in mounts if mount.point in paths or mount.point.startswith(below))
    return Sights(paths=tuple(dict.fromkeys(paths)), mounts=tuple(dict.fromkeys(shown)))


def _below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _joined(folder: str, rest: str) -> str:
    return f"{folder.rstrip('/')}/{rest.lstrip('/')}".rstrip("/") or "/"
