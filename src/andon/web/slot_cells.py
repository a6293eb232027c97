"""What the board says of one slot: a word, a shape, and the job that is there (R38)."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from andon.model.api import HostView, SlotView
from andon.model.nouns import Job

STATES = ("idle", "cordoned", "starting", "running", "draining", "quarantined", "unavailable", "unknown")
"""Every way a cell can look; each has a shape and a colour of its own. `cordoned` is a slot that is
idle and that a person keeps from new work: not capacity, so not shown as idle."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One slot as it is drawn."""

    host: str
    slot: int
    pool: str
    kind: str
    look: str
    """One of STATES."""
    job: Job | None
    """The job that runs, starts, or was last seen there."""
    runner: str | None
    since: datetime
    """Start of the job when it runs, else of the state."""
    note: str | None


def look(slot: SlotView, host: HostView, note: str | None) -> str:
    """The slot's state; one that only a cordon keeps from work is told from one with a fault."""
    if slot.state == "unavailable" and note is None and "cordoned" in (slot.intent, host.intent):
        return "cordoned"
    return slot.state if slot.state in STATES else "unknown"


def cells(host: HostView, jobs: Mapping[int, Job], notes: Mapping[tuple[str, int], str]) -> tuple[Cell, ...]:
    """The host's slots in their order. `jobs` holds the jobs of their claims."""
    made: list[Cell] = []
    for slot in host.slots:
        job = jobs.get(slot.job) if slot.job is not None else None
        note = notes.get((host.name, slot.slot))
        started = job.started_at if job is not None and slot.state == "running" else None
        made.append(
            Cell(
                host=host.name,
                slot=slot.slot,
                pool=slot.pool,
                kind=slot.kind,
                look=look(slot, host, note),
                job=job,
                runner=slot.runner,
                since=started or slot.since,
                note=note,
            )
        )
    return tuple(made)
