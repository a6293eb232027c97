"""Where leases lie: a folder on tmpfs that is the agent's alone, another for each root.

On tmpfs, because a lease never has to outlive a boot (no process does), and a disk that is full must
not stop one. Mode 0700: whoever wants to take the same locks is root, or the agent's own user.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from andon.agent.leases.mounts import Mount, mount_of
from andon.runtime.errors import Refused

_NETWORK = frozenset({"9p", "afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "nfs", "nfs4", "smb2", "smb3", "smbfs"})
_NETWORK_BY_FUSE = frozenset({"ceph", "davfs", "gcsfuse", "glusterfs", "rclone", "s3fs", "sshfs"})


class LeasePlace(msgspec.Struct, frozen=True, kw_only=True):
    """The folder of one root's leases."""

    path: Path

    @property
    def leases(self) -> Path:
        """One file for each lease, named by its id: record and lock."""
        return self.path / "leases"

    @property
    def spare(self) -> Path:
        """Files with their room taken, for leases to come."""
        return self.path / "spare"

    @property
    def journal(self) -> Path:
        """What was deleted on this host since it was booted (`agent.disk.journal`)."""
        return self.path / "journal"


def _kind(path: Path) -> str | None:
    mount = mount_of(path)
    return mount.kind if mount else None


def _base(environ: Mapping[str, str], uid: int) -> Path:
    if uid == 0:
        # In containers /run is often an ordinary folder; shared memory is a tmpfs there, too.
        return Path("/run/andon") if _kind(Path("/run")) == "tmpfs" else Path("/dev/shm/andon")
    mine = environ.get("XDG_RUNTIME_DIR", "")
    return Path(mine, "andon") if mine.startswith("/") else Path(f"/dev/shm/andon-{uid}")


def lease_folder(root: Path, *, environ: Mapping[str, str], uid: int) -> Path:
    """Where the leases of the agent's `root` lie when nobody names another place; the same every time."""
    mark = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:12]
    return _base(environ, uid) / mark


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Refused(f"{folder}: this must be a folder of the agent's own user for its leases. Remove what is there.")
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)


def open_place(folder: Path, *, any_filesystem: bool = False) -> LeasePlace:
    """The place at `folder`, made where it is missing.

    `any_filesystem` lets it lie elsewhere than on tmpfs, for tests. Raises Refused when it cannot be
    made, belongs to another user, or is not on tmpfs.
    """
    kind = _kind(folder)
    if kind != "tmpfs" and not any_filesystem:
        raise Refused(
            f"{folder}: leases must lie on tmpfs, and this is {kind or 'a filesystem that cannot be told'}. "
            "Mount a tmpfs there (4 MiB are enough)."
        )
    place = LeasePlace(path=folder)
    try:
        if folder.parent.is_symlink() or folder.parent.exists():
            _check_parent(folder.parent)
        else:
            _make_private(folder.parent)
        for each in (folder, place.leases, place.spare):
            _make_private(each)
    except OSError as error:
        raise Refused(
            f"{folder}: the folder of the leases cannot be made ({error.strerror}). Mend what is in its way."
        ) from None
    return place


def give_back(place: LeasePlace) -> None:
    """Removes the place when no lease is left in it: nobody would take its memory back before the next boot."""
    try:
        if any(place.leases.iterdir()):
            return
        for spare in place.spare.iterdir():
            spare.unlink()
        # What it says stands in the history and above.
        place.journal.unlink(missing_ok=True)
        for folder in (place.spare, place.leases, place.path):
            folder.rmdir()
    except OSError:
        return


def remake_folders(place: LeasePlace) -> None:
    """Makes again what somebody removed below the place; where that fails, the next lease says so."""
    for each in (place.leases, place.spare):
        try:
            each.mkdir(mode=0o700)
        except OSError:
            pass


def _check_parent(folder: Path) -> None:
    found = folder.lstat()
    others_write = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    if not stat.S_ISDIR(found.st_mode) or others_write or found.st_uid not in (0, os.geteuid()):
        raise Refused(f"{folder}: another user may replace what is in it, so no leases can lie there. Remove it.")


def is_network(mount: Mount) -> bool:
    """Whether it is another machine's filesystem: its locks do not mean what ours must, and it may never answer."""
    return mount.kind in _NETWORK or mount.kind.removeprefix("fuse.") in _NETWORK_BY_FUSE


def refuse_network_filesystem(path: Path, mount: Mount | None = None) -> None:
    """Raises Refused when `path` lies on a network filesystem: its locks do not mean what ours must.

    By the type of its mount, which names what a FUSE filesystem is, too. `mount` is for tests.
    """
    found = mount or mount_of(path)
    if found is not None and is_network(found):
        raise Refused(
            f"{path}: this lies on {found.kind} (mounted at {found.point}), whose locks cannot be trusted. "
            "Name an [agent] root on a local disk."
        )
