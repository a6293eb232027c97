"""A pool of which every slot rests serves nobody, though its hosts report well: an incident of its own (T20, T26, N4).

It is over when a slot of it has shown that it works, not when the rests end: the next runners may fail as well.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec

from andon.model.host_states import Intent
from andon.model.incident_kinds import IncidentCode
from andon.rules.liveness_fleet import Finding

MOST_NAMES = 3
"""Hosts that a title names; its facts name all."""


class SlotFact(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of a pool."""

    pool: str
    host: str
    slot: int
    closed_by: str | None
    """`rules.slot_views.closed_by`: what keeps it from being claimed; None: it is open, or at work."""
    failed_starts: int
    rests_until: datetime | None

    @property
    def rests(self) -> bool:
        """Whether it rests now."""
        return self.closed_by == "resting"


def resting_pools(slots: Sequence[SlotFact]) -> tuple[Finding, ...]:
    """A finding for each pool of which every slot that is not closed anyway rests; hosts that rest as a whole are
    named."""
    of_pool: dict[str, list[SlotFact]] = defaultdict(list)
    for slot in slots:
        of_pool[slot.pool].append(slot)
    return tuple(
        _finding(pool, here)
        for pool, here in sorted(of_pool.items())
        if any(slot.rests for slot in here) and not any(slot.closed_by is None for slot in here)
    )


def works_again(pool: str, slots: Sequence[SlotFact]) -> str | None:
    """What shows that the pool serves again; None: nothing does."""
    here = [slot for slot in slots if slot.pool == pool]
    good = next((slot for slot in here if slot.closed_by is None and slot.failed_starts == 0), None)
    if good is not None:
        return f"slot {good.host}/{good.slot} can take a job: no start on it has failed since one went well"
    aside = (Intent.CORDONED.value, Intent.DRAINING.value)
    if all(slot.closed_by in aside for slot in here):
        return "its slots were put aside" if here else "no slot of the pool is left"
    return None


def _finding(pool: str, slots: Sequence[SlotFact]) -> Finding:
    resting = [slot for slot in slots if slot.rests]
    first = min((slot.rests_until for slot in resting if slot.rests_until is not None), default=None)
    whole = tuple(
        host
        for host in sorted({slot.host for slot in resting})
        if all(slot.rests for slot in slots if slot.host == host)
    )
    title = f"Every slot of pool {pool} rests: runners failed again and again before they served a job"
    if whole:
        title = f"{title} (all slots of {', '.join(whole[:MOST_NAMES])}{' and others' if whole[MOST_NAMES:] else ''})"
    return Finding(
        code=IncidentCode.LABEL_THIN,
        subject_kind="pool",
        subject_id=pool,
        title=title,
        facts={
            "resting": len(resting),
            "slots": len(slots),
            "whole_hosts": list(whole),
            "first_rested_at": None if first is None else first.isoformat(),
        },
        pool=pool,
    )
