"""Filesystems as hosts tell of them, and a thin record of how each was filled (R52).

A host's list is level-triggered: it replaces what was known of that host (interfaces.md section 5).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, update

from andon.model.caches import CacheReport
from andon.model.disk import ClassTotal, DiskLevel, DiskReport, GuardPass, Pinned
from andon.model.host_states import HostObserved
from andon.model.nouns import Host, KeptDisk
from andon.store.bulk import insert_new
from andon.store.prepared import Prepared, Records
from andon.store.rows import to_columns
from andon.store.schema import disk_samples, disks, hosts
from andon.store.transaction import Tx
from andon.store.upsert import upsert_all

SAMPLED_EVERY = timedelta(minutes=10)
SHORT = frozenset({DiskLevel.HARD, DiskLevel.EMERGENCY})
"""Levels at which no job begins."""
_MOST, _MOST_SLOTS, _MOST_PINNED, _MOST_PASSES, _MOST_CLASSES = 64, 1000, 50, 20, 16
_LONGEST_MOUNT = 500
"""Characters. A mount is part of keys, and an entry of an index has a largest size; longer ones are left out."""
_LONGEST_PATH, _LONGEST_WORDS, _LONGEST_NAME = 4096, 500, 100
_MOST_CACHES = 100
_LARGEST_S = 10**9

# Made once: these run with the syncs of hosts that tell of their filesystems.
_OF_HOST = Records(select(disks).where(disks.c.host == bindparam("host")).order_by(disks.c.mount), KeptDisk)
_ALL = Records(select(disks).order_by(disks.c.host, disks.c.mount), KeptDisk)
_COUNT = Prepared(update(hosts).where(hosts.c.name == bindparam("of_host")).values(disks=bindparam("disks")))
_FORGET = Prepared(delete(disks).where(disks.c.host == bindparam("of_host"), disks.c.mount == bindparam("of_mount")))


def all_disks(connection: Connection, *, host: str | None = None) -> list[KeptDisk]:
    """Every filesystem that is known, or those of one host, by host and mount."""
    return _ALL.structs(connection) if host is None else _OF_HOST.structs(connection, host=host)


def save(tx: Tx, host: Host, told: Sequence[DiskReport] | None, *, new_start: bool) -> None:
    """Replaces what is known of the host's filesystems; `told` None: nothing has changed.

    `new_start`: its agent has just started, and tells everything that it tells at all. One that tells of no
    filesystem then knows nothing of them, and what another version told is not taken for news (law 4). What does
    not fit a column is left out or cut.
    """
    if told is None:
        if new_start and host.disks:
            _replace(tx, host, {})
        return
    if told or host.disks:
        fitting = [each for each in told[:_MOST] if each.mount and len(each.mount) <= _LONGEST_MOUNT]
        _replace(tx, host, {each.mount: each for each in fitting})


def _replace(tx: Tx, host: Host, told: dict[str, DiskReport]) -> None:
    known = {each.mount: each for each in _OF_HOST.structs(tx.connection, host=host.name)}
    rows = [_row(host.name, each, known.get(mount), tx.now) for mount, each in told.items()]
    due = [row for row in rows if row.sampled_at is None or abs(tx.now - row.sampled_at) >= SAMPLED_EVERY]
    insert_new(tx.connection, disk_samples, [_sample(row, tx.now) for row in due])
    if due:
        tx.nudges.add("pages")
    kept = [msgspec.structs.replace(row, sampled_at=tx.now) if row in due else row for row in rows]
    upsert_all(tx.connection, disks, [to_columns(row) for row in kept], key=("host", "mount"))
    for mount in known.keys() - told.keys():
        _FORGET.run(tx.connection, of_host=host.name, of_mount=mount)
    if len(rows) != host.disks:
        _COUNT.run(tx.connection, of_host=host.name, disks=len(rows))
    before = {mount: (each.level, each.admits, each.slots) for mount, each in known.items()}
    if before != {row.mount: (row.level, row.admits, row.slots) for row in rows}:
        tx.nudges |= {"pages", "dispatch", "withheld"}
    elif any(row.free - row.floor > known[row.mount].free - known[row.mount].floor for row in rows):
        # A job may wait for just this.
        tx.nudges.add("dispatch")


def _row(host: str, told: DiskReport, known: KeptDisk | None, now: datetime) -> KeptDisk:
    short = told.level in SHORT
    since = known.short_since if known is not None and known.short_since is not None else now
    if told.level is DiskLevel.UNKNOWN and known is not None:
        # A level that only a newer agent knows ends nothing, and begins nothing.
        short, since = known.short_since is not None, since
    same_level = known is not None and known.level is told.level
    return KeptDisk(
        host=host,
        mount=told.mount,
        total=told.total,
        free=told.free,
        inodes=told.inodes,
        inodes_free=told.inodes_free,
        level=told.level,
        admits=told.admits,
        floor=told.floor,
        full_in_s=None if told.full_in_s is None else _whole(told.full_in_s),
        slots=tuple(dict.fromkeys(told.slots[:_MOST_SLOTS])),
        classes=_classes(told.classes),
        pinned=tuple(_pinned(each) for each in told.pinned[:_MOST_PINNED]),
        passes=tuple(_pass(each, now) for each in told.passes[:_MOST_PASSES]),
        caches=tuple(_cache(each) for each in told.caches[:_MOST_CACHES]),
        told_at=now,
        level_since=known.level_since if known is not None and same_level else now,
        short_since=since if short else None,
        sampled_at=None if known is None else known.sampled_at,
    )


def _whole(seconds: float) -> int | None:
    return int(seconds) if 0 <= seconds <= _LARGEST_S else None


def _classes(told: Sequence[ClassTotal]) -> tuple[ClassTotal, ...]:
    """One entry for each class."""
    return tuple({each.path_class: each for each in told[:_MOST_CLASSES]}.values())


def _cache(told: CacheReport) -> CacheReport:
    return msgspec.structs.replace(
        told,
        program=told.program[:_LONGEST_NAME],
        owner=told.owner[:_LONGEST_NAME],
        user=told.user[:_LONGEST_NAME],
        trouble=None if told.trouble is None else told.trouble[:_LONGEST_WORDS],
    )


def _pinned(told: Pinned) -> Pinned:
    lease = None if told.lease is None else told.lease[:_LONGEST_WORDS]
    return Pinned(path=told.path[:_LONGEST_PATH], by=told.by[:_LONGEST_WORDS], bytes=told.bytes, lease=lease)


def _pass(told: GuardPass, now: datetime) -> GuardPass:
    """A time without a zone says nothing."""
    return told if told.at.tzinfo is not None else msgspec.structs.replace(told, at=now)


def _sample(row: KeptDisk, now: datetime) -> dict[str, Any]:
    classes = {each.path_class.value: each.bytes for each in row.classes if each.bytes is not None}
    return {
        "at": now,
        "host": row.host,
        "mount": row.mount,
        "total": row.total,
        "free": row.free,
        "classes": classes,
    }


_DUE = Records(
    select(disks)
    .join(hosts, hosts.c.name == disks.c.host)
    .where(
        hosts.c.observed == HostObserved.REPORTING.value,
        disks.c.sampled_at <= bindparam("before", type_=disks.c.sampled_at.type),
    )
    .order_by(disks.c.host, disks.c.mount),
    KeptDisk,
)


def samples_due(connection: Connection, now: datetime) -> list[KeptDisk]:
    """Filesystems of which nothing new was told for so long that a sample is due. While its host reports, what it
    leaves out of its reports is unchanged; of a silent one nothing is known."""
    return _DUE.structs(connection, before=now - SAMPLED_EVERY)


def keep_samples(tx: Tx) -> int:
    """Keeps those samples; gives how many they were."""
    due = samples_due(tx.connection, tx.now)
    insert_new(tx.connection, disk_samples, [_sample(row, tx.now) for row in due])
    kept = [to_columns(msgspec.structs.replace(row, sampled_at=tx.now)) for row in due]
    upsert_all(tx.connection, disks, kept, key=("host", "mount"))
    return len(due)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """How a filesystem was filled at one moment."""

    at: datetime
    mount: str
    total: int
    free: int
    classes: dict[str, int]
    """By class, its bytes; a class that nobody had measured is not in it."""


_SAMPLES = Records(
    select(disk_samples)
    .where(
        disk_samples.c.host == bindparam("host"), disk_samples.c.at >= bindparam("since", type_=disk_samples.c.at.type)
    )
    .order_by(disk_samples.c.mount, disk_samples.c.at),
    Sample,
)


def samples(connection: Connection, host: str, since: datetime) -> dict[str, list[Sample]]:
    """By mount, the host's samples since then, oldest first."""
    found: dict[str, list[Sample]] = {}
    for each in _SAMPLES.structs(connection, host=host, since=since):
        found.setdefault(each.mount, []).append(each)
    return found


_FORGET_ALL = Prepared(delete(disks).where(disks.c.host == bindparam("of_host")))


def forget(tx: Tx, host: str) -> None:
    """Nothing is known any more of the filesystems of a host that was taken away; its samples go by their age."""
    _FORGET_ALL.run(tx.connection, of_host=host)
