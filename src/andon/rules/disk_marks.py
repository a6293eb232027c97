"""When a filesystem is short of room: percentages on small disks, bounded sizes on large ones (host-facts.md 2.3)."""

import msgspec

GIB = 1 << 30
SMALL = 100 * GIB
"""Below this size only the percentages count (interfaces.md section 10)."""
SOFT_AT_LEAST, SOFT_AT_MOST = 10 * GIB, 200 * GIB


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What statvfs says of one filesystem. A filesystem without a number of inodes has `inodes` 0."""

    total: int
    free: int
    """Bytes that anybody may still write."""
    inodes: int = 0
    inodes_free: int = 0


def is_below_soft(room: Room, soft_percent: float) -> bool:
    """Whether what need not be kept should go."""
    mark = room.total * soft_percent / 100
    if room.total >= SMALL:
        mark = min(max(mark, SOFT_AT_LEAST), SOFT_AT_MOST)
    return room.free < mark or (room.inodes > 0 and room.inodes_free < room.inodes * soft_percent / 100)
