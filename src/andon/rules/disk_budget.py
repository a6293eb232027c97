"""Which job is ended when it takes the room that was promised to others: one run fails instead of eight (R51,
host-facts.md 2.5).

Pure. A job has a budget where its kind is known: twice what 95 of 100 of its kind write. Beyond it a job is ended
only when all of this holds: its filesystem has no longer what the other jobs there were promised, with the emergency
mark or what is written in the next seconds above it; another job there keeps its budget; and its own was measured a
moment ago. With nobody beside it, it harms nobody but itself, and goes on.
"""

from collections.abc import Iterable

import msgspec

from andon.model.config import Disk
from andon.model.disk import DiskLevel
from andon.rules.disk_marks import GIB, SMALL, Room, mark_of

TIMES = 2
"""So many times what its kind writes is its budget."""
LEAST = GIB
"""No budget is smaller, so that a small job's bad day ends nothing; on filesystems below 100 GiB a hundredth."""


class LiveJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that runs and writes to the filesystem."""

    id: str
    """Of its workspace."""
    written: int
    expected: int | None = None
    """What 95 of 100 jobs of its kind write; None: its kind is not known, and nothing follows for it."""

    def budget(self, total: int) -> int | None:
        """Bytes that it may write on a filesystem of `total` bytes whatever others need; None: no bound is known."""
        least = LEAST if total >= SMALL else total // 100
        return None if self.expected is None else max(TIMES * self.expected, least)

    def is_over(self, total: int) -> bool:
        """Whether it wrote more than that."""
        budget = self.budget(total)
        return budget is not None and self.written > budget

    @property
    def promised(self) -> int:
        """What it may still write of what was promised to it."""
        return max(0, (self.expected or 0) - self.written)


class Overrun(msgspec.Struct, frozen=True, kw_only=True):
    """The job that is to be ended, and why."""

    id: str
    written: int
    budget: int
    promised: int
    """To the others on its filesystem."""
    free: int


def bounds(room: Room, jobs: Iterable[LiveJob], marks: Disk) -> dict[str, int]:
    """What each job may have in all, where the kernel can hold it to that: its budget, or what the others there do not
    need, whichever is more. Only those whose kind is known, and that have somebody beside them who keeps a budget."""
    every = tuple(jobs)
    found: dict[str, int] = {}
    for job in every:
        budget = job.budget(room.total)
        others = [each for each in every if each is not job and not each.is_over(room.total)]
        if budget is not None and others:
            needed = sum(each.promised for each in others) + mark_of(DiskLevel.EMERGENCY, room.total, marks)
            found[job.id] = max(budget, job.written + max(0, int(room.free - needed)))
    return found


def is_near(room: Room, jobs: Iterable[LiveJob], soon: int, marks: Disk) -> bool:
    """Whether it is worth measuring what they wrote: what is free is less than their promises, and twice what must
    stay above them."""
    return room.free - sum(job.promised for job in jobs) < 2 * _above(room, soon, marks)


def _above(room: Room, soon: int, marks: Disk) -> float:
    return max(mark_of(DiskLevel.EMERGENCY, room.total, marks), soon)


def overrun(room: Room, jobs: Iterable[LiveJob], soon: int, marks: Disk) -> Overrun | None:
    """The one of these jobs that is furthest over its budget, when the others need what it took; else None.

    `soon`: bytes that are written there before an end of it helps.
    """
    every = tuple(jobs)
    over = [job for job in every if job.is_over(room.total)]
    others = [job for job in every if not job.is_over(room.total)]
    promised = sum(job.promised for job in others)
    if not over or not others or room.free - promised >= _above(room, soon, marks):
        return None
    worst = max(over, key=lambda job: (job.written - (job.budget(room.total) or 0), job.id))
    return Overrun(
        id=worst.id,
        written=worst.written,
        budget=worst.budget(room.total) or 0,
        promised=promised,
        free=room.free,
    )
