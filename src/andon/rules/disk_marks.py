"""When a filesystem is short of room: percentages on small disks, bounded sizes on large ones (host-facts.md 2.3).

A mark is what must be free. A level is entered below its mark and left only a third above it (soft, at the
default 15 %: at 20 %), so that a filesystem that is filled and emptied around a mark does not flap (R52).
"""

from types import MappingProxyType

import msgspec

from andon.model.config import Disk
from andon.model.disk import DiskLevel
from andon.rules.sizes import parse_size

GIB = 1 << 30
SMALL = 100 * GIB
"""Below this size only the percentages count (interfaces.md section 10)."""
_BOUNDS = MappingProxyType(
    {
        DiskLevel.SOFT: (10 * GIB, 200 * GIB),
        DiskLevel.HARD: (5 * GIB, 50 * GIB),
        DiskLevel.EMERGENCY: (2 * GIB, 20 * GIB),
    }
)
"""Of a large one, at the default percentages: at least and at most so much; other percentages move both with them.
host-facts.md names no upper bound for the last; it is in the proportion of the percentages, or it would pass the hard
mark."""
_DEFAULT = Disk()
_WORST_FIRST = (DiskLevel.EMERGENCY, DiskLevel.HARD, DiskLevel.SOFT)
LEAVE = 4 / 3
"""A level is left when so much of its mark is free."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What statvfs says of one filesystem. A filesystem without a number of inodes has `inodes` 0."""

    total: int
    free: int
    """Bytes that anybody may still write."""
    inodes: int = 0
    inodes_free: int = 0


def percent_of(level: DiskLevel, percents: Disk) -> float:
    """What `[agent.disk]` says of this level."""
    return {
        DiskLevel.SOFT: percents.soft_percent,
        DiskLevel.HARD: percents.hard_percent,
        DiskLevel.EMERGENCY: percents.emergency_percent,
    }.get(level, 0.0)


def mark_of(level: DiskLevel, total: int, percents: Disk) -> float:
    """The bytes that must be free for a filesystem of `total` bytes not to enter `level`."""
    percent = percent_of(level, percents)
    mark = total * percent / 100
    if total < SMALL or level not in _BOUNDS:
        return mark
    at_least, at_most = _BOUNDS[level]
    scale = percent / percent_of(level, _DEFAULT)
    return min(max(mark, at_least * scale), at_most * scale)


def level_of(room: Room, percents: Disk, before: DiskLevel = DiskLevel.OK) -> DiskLevel:
    """How short of room it is now, when it was at `before` at the last look. Bytes and inodes both count."""
    held = False
    for level in _WORST_FIRST:
        held = held or level is before
        share = _share(room, level, percents)
        if share < 1 or (held and share < LEAVE):
            return level
    return DiskLevel.OK


def _share(room: Room, level: DiskLevel, percents: Disk) -> float:
    """How often the mark fits into what is free; of bytes or inodes, what there is less of."""
    mark = mark_of(level, room.total, percents)
    of_bytes = room.free / mark if mark > 0 else LEAVE
    inodes = room.inodes * percent_of(level, percents) / 100
    return min(of_bytes, room.inodes_free / inodes) if inodes > 0 else of_bytes


def floor_of(total: int, percents: Disk) -> int:
    """What must stay free beside all that is promised to jobs: the emergency mark, or `admission_floor` where that
    is more. On a small disk the mark alone, or nothing would ever fit."""
    mark = int(mark_of(DiskLevel.EMERGENCY, total, percents))
    return mark if total < SMALL else max(mark, parse_size(percents.admission_floor) or 0)


def ballast_of(total: int, percents: Disk) -> int:
    """How large the file is that is given up when nothing else is left: 1 GiB, on a small disk a hundredth (R53).

    Never more than the emergency mark, so that an owner who lets a disk run nearly full does not lose it to this.
    """
    return min(GIB, total // 100, int(mark_of(DiskLevel.EMERGENCY, total, percents)))
