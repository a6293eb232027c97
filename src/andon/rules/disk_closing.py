"""Why no job begins where a filesystem is short of room: one sentence, with what would change it (R52)."""

from andon.model.config import Disk
from andon.model.disk import DiskLevel
from andon.rules.disk_marks import LEAVE, Room, mark_of, percent_of
from andon.rules.size_words import size

CLOSED = frozenset({DiskLevel.HARD, DiskLevel.EMERGENCY})
"""The levels at which no job begins."""


def why_closed(mount: str, room: Room, percents: Disk) -> str:
    """Of a filesystem that is at one of those levels."""
    enough = mark_of(DiskLevel.HARD, room.total, percents) * LEAVE
    inodes_enough = room.inodes * percent_of(DiskLevel.HARD, percents) / 100 * LEAVE
    wants: list[str] = []
    if room.free < enough:
        wants.append(f"{size(room.free)} of {size(room.total)} free, and {size(enough)} must be")
    if room.inodes_free < inodes_enough:
        wants.append(f"{room.inodes_free} of {room.inodes} inodes free, and {inodes_enough:.0f} must be")
    return f"{mount} has {'; '.join(wants) or 'too little room'} before a job begins here. Free space there."
