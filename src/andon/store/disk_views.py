"""Filesystems of hosts as people see them: what fills them, what is promised, what went (interfaces.md section 6)."""

from collections.abc import Sequence

from sqlalchemy import Connection

from andon.model.api import DeletionView, DiskView, HostDisk
from andon.model.nouns import KeptDisk
from andon.store import deletions, disk_facts, disks
from andon.store.deletions import KeptDeletion

SHOWN_DELETIONS = 20
"""Of one filesystem, in a list of filesystems."""


def host_disks(connection: Connection, *, host: str | None = None) -> dict[str, tuple[HostDisk, ...]]:
    """By host, its filesystems as an entry of `disk` of the host."""
    reserved = _reserved(connection)
    found: dict[str, list[HostDisk]] = {}
    for disk in disks.all_disks(connection, host=host):
        found.setdefault(disk.host, []).append(_entry(disk, reserved))
    return {name: tuple(each) for name, each in found.items()}


def disk_views(
    connection: Connection, limit: int, *, host: str | None = None, after: tuple[str, str] | None = None
) -> list[DiskView]:
    """Filesystems by host and mount; `after` is the (host, mount) to go on from."""
    known = disks.all_disks(connection, host=host)
    wanted = [disk for disk in known if after is None or (disk.host, disk.mount) > after][:limit]
    if not wanted:
        return []
    reserved = _reserved(connection)
    gone: dict[tuple[str, str], list[KeptDeletion]] = {}
    for name in dict.fromkeys(disk.host for disk in wanted):
        mounts = [disk.mount for disk in known if disk.host == name]
        for each in deletions.newest(connection, name, SHOWN_DELETIONS * len(mounts)):
            gone.setdefault((name, mount_of(each.path, mounts)), []).append(each)
    return [_view(disk, reserved, gone.get((disk.host, disk.mount), [])[:SHOWN_DELETIONS]) for disk in wanted]


def mount_of(path: str, mounts: Sequence[str]) -> str:
    """The mount that holds the path: the longest that it lies below; empty for none."""
    holding = [mount for mount in mounts if path == mount or path.startswith(mount.rstrip("/") + "/")]
    return max(holding, key=len, default="")


def deletion_view(each: KeptDeletion) -> DeletionView:
    """A deletion as the API gives it."""
    return DeletionView(
        at=each.at,
        path=each.path,
        path_class=each.path_class,
        bytes=each.bytes,
        actor=each.actor,
        reason=each.reason,
        lease=each.lease,
        evidence=each.evidence,
    )


def _reserved(connection: Connection) -> dict[tuple[str, str], int]:
    room = disk_facts.for_people(connection, waiting=False)
    return {} if room is None else room.rooms.reserved()


def _entry(disk: KeptDisk, reserved: dict[tuple[str, str], int]) -> HostDisk:
    return HostDisk(
        mount=disk.mount,
        total=disk.total,
        free=disk.free,
        inodes=disk.inodes,
        inodes_free=disk.inodes_free,
        reserved=reserved.get((disk.host, disk.mount), 0),
        floor=disk.floor,
        level=disk.level.value,
        admits=disk.admits,
        full_in_s=disk.full_in_s,
    )


def _view(disk: KeptDisk, reserved: dict[tuple[str, str], int], gone: Sequence[KeptDeletion]) -> DiskView:
    return DiskView(
        host=disk.host,
        mount=disk.mount,
        total=disk.total,
        free=disk.free,
        inodes=disk.inodes,
        inodes_free=disk.inodes_free,
        reserved=reserved.get((disk.host, disk.mount), 0),
        floor=disk.floor,
        level=disk.level.value,
        level_since=disk.level_since,
        admits=disk.admits,
        full_in_s=disk.full_in_s,
        slots=disk.slots,
        told_at=disk.told_at,
        classes=disk.classes,
        pinned=disk.pinned,
        passes=disk.passes,
        caches=disk.caches,
        deletions=tuple(deletion_view(each) for each in gone),
    )
