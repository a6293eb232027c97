"""What every process of this machine has to do with a few folders: one look for all of them.

A process names paths as its own mount namespace shows them, so each folder's paths are worked out
for each namespace first (`mounts.py`). Ages and pid files are no evidence and are not looked at.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from andon.agent.leases.mounts import Location, Sights, locate, parse_mounts, read_mountinfo, sights
from andon.agent.process_identity import all_pids
from andon.model.workspaces import Hold, Holder

_TRACKING = b"RUNNER_TRACKING_ID="
_MOST_HOLDS = 10
"""Named for one folder; more would only be longer."""
_MOST_TEXT = 200
_MOST_PARENTS = 64
_ROUNDS = 4
_LINKS = (("cwd", "works in it"), ("exe", "runs from it"), ("root", "has its root in it"))


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """One folder that is asked for."""

    id: str
    path: str
    """Absolute, without links in it."""
    around: str | None = None
    """A folder above it that is its job's alone: the runner's work folder, which a job container mounts as a whole."""
    inode: tuple[int, int] | None = None
    """Its device and inode, by which it is known where no path leads to it any more."""
    tracking: str = ""
    """RUNNER_TRACKING_ID of its job: stands in the environment of the job's processes."""


class Uses(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found."""

    holds: Mapping[str, tuple[Hold, ...]]
    """For each folder; those that nothing uses are absent."""
    unreadable: tuple[int, ...]
    """Processes whose links we may not read."""
    whole: bool
    """False: the time was over before every process had been looked at."""


class _View:
    """The folders as one mount namespace shows them."""

    def __init__(self, shown: Mapping[str, Sights], chroot: str) -> None:
        # Links are told from the root of the namespace, mount points from the root of the process.
        self._ids = {f"{chroot}{path}": id for id, each in shown.items() for path in each.paths}
        self._paths = tuple(self._ids)
        self._raw = tuple(os.fsencode(path) for path in self._paths)

    def find(self, link: str) -> str | None:
        """The folder that `link` lies in."""
        if not link.startswith(self._paths):
            return None
        at = len(link)
        while at > 0:
            found = self._ids.get(link[:at])
            if found is not None:
                return found
            at = link.rfind("/", 0, at)
        return None

    def find_mapped(self, maps: bytes) -> str | None:
        """A folder that a line of `/proc/PID/maps` names a file of."""
        if not any(path in maps for path in self._raw):
            return None
        for line in maps.split(b"\n"):
            _, slash, rest = line.partition(b"/")
            id = self.find(os.fsdecode(slash + rest)) if slash else None
            if id is not None:
                return id
        return None


class _Look:
    def __init__(self, folders: Iterable[Folder]) -> None:
        self._folders = {each.id: each for each in folders}
        self._self = os.getpid()
        self._namespace = os.readlink("/proc/self/ns/mnt")  # noqa: PTH115
        own = parse_mounts(read_mountinfo("self"))
        self._places: dict[str, Location] = {}
        for each in self._folders.values():
            place = locate(each.path, own, around=each.around)
            if place is not None:
                self._places[each.id] = place
        self._inodes = {each.inode: each.id for each in self._folders.values() if each.inode is not None}
        self._jobs = {os.fsencode(each.tracking): each.id for each in self._folders.values() if each.tracking}
        self._views: dict[tuple[str, str], _View] = {}
        self._by_text: dict[str, _View] = {}
        self.holds: dict[str, dict[tuple[Holder, int | None], Hold]] = {id: {} for id in self._folders}
        self.unreadable: list[int] = []

    def add(self, id: str, by: Holder, text: str, pid: int | None) -> None:
        mine = self.holds[id]
        if (by, pid) not in mine and len(mine) < _MOST_HOLDS:
            mine[by, pid] = Hold(by=by, text=text, pid=pid)

    def at_process(self, pid: int) -> None:
        base = f"/proc/{pid}"
        namespace = self._at_namespace(pid, base)
        if namespace is not None and namespace != _link(f"{base}/ns/mnt"):
            # It moved into another meanwhile, perhaps from a working directory to a mount.
            self._at_namespace(pid, base)

    def _at_namespace(self, pid: int, base: str) -> str | None:
        try:
            namespace, chroot = os.readlink(f"{base}/ns/mnt"), os.readlink(f"{base}/root")  # noqa: PTH115
        except PermissionError:
            self.unreadable.append(pid)
            self._view_by_text(pid)
            return None
        except OSError:
            return None
        view = self._views.get((namespace, chroot))
        if view is None:
            view = self._view(pid, chroot)
            if view is None:
                return None
            self._views[namespace, chroot] = view
        if pid == self._self:
            # Our own descriptors are no use by a job; our mounts are.
            return None
        self._at_links(pid, base, view)
        if namespace != self._namespace:
            self._at_parents(pid, f"{base}/cwd")
        self._at_environment(pid, base)
        return namespace

    def _view(self, pid: int, chroot: str) -> _View | None:
        try:
            text = read_mountinfo(pid)
        except OSError:
            return None
        return self._view_of(text, pid, chroot)

    def _view_by_text(self, pid: int) -> None:
        """Whose namespace we may not name we may still read: each different one once."""
        try:
            text = read_mountinfo(pid)
        except OSError:
            return
        if text not in self._by_text:
            self._by_text[text] = self._view_of(text, pid, "/")

    def _view_of(self, text: str, pid: int, chroot: str) -> _View:
        mounts = parse_mounts(text)
        shown = {id: sights(place, mounts) for id, place in self._places.items()}
        for id, each in shown.items():
            for point in each.mounts:
                where = f"{_clean(point)} in the mount namespace of the process {pid} ({_name(pid)})"
                self.add(
                    id, Holder.MOUNT, f"It, its job's work folder, or something in it is mounted at {where}.", None
                )
        return _View(shown, chroot.rstrip("/"))

    def _at_links(self, pid: int, base: str, view: _View) -> None:
        for name, does in _LINKS:
            self._at_link(pid, f"{base}/{name}", view, does)
        try:
            names = os.listdir(f"{base}/fd")  # noqa: PTH208 (hot: one for each open file)
        except OSError:
            return
        for name in names:
            self._at_link(pid, f"{base}/fd/{name}", view, "holds open")
        id = view.find_mapped(_content(f"{base}/maps"))
        if id is not None:
            self.add(id, Holder.FILE, f"The process {pid} ({_name(pid)}) has a file of it in its memory.", pid)

    def _at_link(self, pid: int, path: str, view: _View, does: str) -> None:
        link = _link(path)
        id = view.find(link)
        if id is not None:
            self.add(id, Holder.FILE, f"The process {pid} ({_name(pid)}) {does}: {_clean(link)}.", pid)

    def _at_parents(self, pid: int, link: str) -> None:
        """Goes up from a directory to the root of its mount: finds a folder whose mount was taken away under it.

        Only for other namespaces (containers): asking about a directory may wait for its server.
        """
        try:
            file = os.open(link, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            for _ in range(_MOST_PARENTS):
                found = os.fstat(file)
                here = (found.st_dev, found.st_ino)
                id = self._inodes.get(here)
                if id is not None:
                    self.add(id, Holder.FILE, f"The process {pid} ({_name(pid)}) works in it, in a container.", pid)
                    return
                above = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=file)
                os.close(file)
                file = above
                found = os.fstat(file)
                if (found.st_dev, found.st_ino) == here:
                    return
        except OSError:
            return
        finally:
            os.close(file)

    def _at_environment(self, pid: int, base: str) -> None:
        if not self._jobs:
            return
        text = _content(f"{base}/environ")
        if _TRACKING not in text:
            return
        for entry in text.split(b"\0"):
            id = self._jobs.get(entry[len(_TRACKING) :]) if entry.startswith(_TRACKING) else None
            if id is not None:
                self.add(id, Holder.PROCESS, f"The process {pid} ({_name(pid)}) belongs to its job.", pid)


def find_uses(folders: Iterable[Folder], *, go_on: Callable[[], bool] = lambda: True) -> Uses:
    """What uses each folder, by links, environments and mounts of all processes but this one.

    Blocking, for a thread. `go_on` is asked before each process; when it says no, the look ends and
    says that it is not whole. Raises OSError when not even our own mounts can be read.
    """
    look = _Look(folders)
    whole = True
    seen: set[int] = set()
    # A process may hand a folder on to a child and end while we look at others: once more for who is new.
    for _ in range(_ROUNDS):
        new = set(all_pids()) - seen
        for pid in new:
            if not go_on():
                whole = False
                break
            look.at_process(pid)
        seen |= new
        if not new or not whole:
            break
    holds = {id: tuple(found.values()) for id, found in look.holds.items() if found}
    return Uses(holds=holds, unreadable=tuple(look.unreadable), whole=whole)


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 (a Path for each costs more than the look)
    except OSError:
        return ""


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (hot)
            return file.read()
    except OSError:
        return b""


def _name(pid: int) -> str:
    try:
        return _clean(Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip())
    except OSError:
        return "ended"


def _clean(text: str) -> str:
    """Text from elsewhere, for a sentence."""
    shown = text.encode("utf-8", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in shown)[:_MOST_TEXT]
