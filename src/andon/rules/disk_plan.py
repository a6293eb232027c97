"""What goes first when a filesystem is short of room, and what need not (R52, host-facts.md 2.3).

Pure. Only what may go is asked about here: workspaces that are dead and whose run is over (`rules.workspace_life`), and
what is declared outside the root (`rules.declared_life`). Whether anything still uses it is looked at once more before
the rename.
"""

from collections.abc import Iterable
from enum import IntEnum

import msgspec

from andon.model.config import Disk
from andon.model.disk import DiskLevel
from andon.rules.disk_marks import LEAVE, Room, level_of, mark_of

MIN_RECLAIM = 0.02
"""A pass frees at least this part of the filesystem, so that the next one is not due at once."""


class Rank(IntEnum):
    """Kinds of bytes, by what it costs to have them again: the cheapest first (host-facts.md 2.3)."""

    WORKSPACE = 0
    """Nobody will use it again."""
    CACHE = 1
    """An entry of a cache that is larger than its cap."""
    CHECKOUT = 2
    """An old checkout of an adopted runner: one clone."""
    IMAGES = 3
    """Images of a container engine: to be built or pulled again."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that may go."""

    id: str
    bytes: int | None
    """None: nobody has measured it yet."""
    dead_up_s: float
    """Since when nobody uses it. Compared within one rank only."""
    failed: bool | None
    rank: Rank = Rank.WORKSPACE


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What goes now, cheapest first, and how many bytes are wanted."""

    ids: tuple[str, ...]
    wanted: int


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the trash of the filesystem, and still takes its room."""

    bytes: int = 0
    unsure: bool = False
    """Something of a size that nobody measured is among it."""


NOTHING_LEAVES = Leaving()


def bytes_wanted(room: Room, level: DiskLevel, marks: Disk, leaving: int) -> int:
    """Bytes to free before the soft level is left, beside the `leaving` ones that are in the trash already."""
    if level is DiskLevel.OK:
        return 0
    enough = mark_of(DiskLevel.SOFT, room.total, marks) * LEAVE
    return max(0, int(max(enough - room.free, MIN_RECLAIM * room.total)) - leaving)


def cheapest_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """By rank; of workspaces what nobody will look into, then evidence of failures; each the oldest first."""
    return sorted(candidates, key=lambda one: (one.rank, one.failed is not False, one.dead_up_s, one.id))


def choose(
    room: Room, marks: Disk, before: DiskLevel, candidates: Iterable[Candidate], leaving: Leaving = NOTHING_LEAVES
) -> Chosen:
    """What of the candidates goes: at soft as much as is wanted, from hard on all of them.

    Cheapest first: what nobody will look into, then evidence of failures, each the oldest first. At soft, one whose
    size is not known goes alone: what it frees is seen before more goes.
    """
    level = level_of(room, marks, before)
    wanted = bytes_wanted(room, level, marks, leaving.bytes)
    if level is DiskLevel.OK:
        return Chosen(ids=(), wanted=0)
    ordered = cheapest_first(candidates)
    if level is not DiskLevel.SOFT:
        return Chosen(ids=tuple(one.id for one in ordered), wanted=wanted)
    if leaving.unsure:
        return Chosen(ids=(), wanted=wanted)
    short_of_inodes = room.inodes > 0 and room.inodes_free * 100 < room.inodes * marks.soft_percent
    ids: list[str] = []
    left = wanted
    for one in ordered:
        if left <= 0 and not short_of_inodes:
            break
        ids.append(one.id)
        if one.bytes is None or short_of_inodes:
            break
        left -= one.bytes
    return Chosen(ids=tuple(ids), wanted=wanted)
