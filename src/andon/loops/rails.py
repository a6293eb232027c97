"""Which rail every kind of act runs on, and what its journal line says while the rail only observes.

The one table that the executor asks before it performs anything (R31, R98). Acts that only read
GitHub, and correct our own picture of it, have no rail.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from andon.loops.fleet import Fleet
from andon.model.journal import Entry
from andon.model.rails import Rail
from andon.store.outbox import Act
from andon.store.rails import hold

LOOK_AGAIN = timedelta(minutes=1)
"""How soon a held act is looked at again; a change of the mode at a start makes it due at once."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """How an act that changes something outside is journalled when it is not performed."""

    rail: Rail
    kind: str
    subject_kind: str
    text: str


RAILS: Mapping[str, Held | None] = {
    "mint_runner": Held(
        rail=Rail.DISPATCH,
        kind="runner.would_mint",
        subject_kind="claim",
        text="a runner would have been registered at GitHub for a reserved claim",
    ),
    "retire_runner": Held(
        rail=Rail.REGISTRATIONS,
        kind="runner.would_retire",
        subject_kind="claim",
        text="a registration that no process of ours can use would have been removed",
    ),
    # Reads, and keeps what GitHub says; the one thing it may do to the world asks its rail itself.
    "resolve_claim": None,
    "learn_job": None,
    "learn_run": None,
    "note_would_claim": None,
}
"""By kind of act. A kind that is not named here is held: what is unknown is not harmless."""
RELEASE = Held(
    rail=Rail.RESCUE,
    kind="claim.would_release",
    subject_kind="claim",
    text="a claim would have been given up and its registration removed",
)
"""The one consequence of "resolve_claim" that is an act."""
_UNKNOWN = Held(rail=Rail.RESCUE, kind="act.would_perform", subject_kind="act", text="an act would have been performed")


def held_by_rail(fleet: Fleet, kind: str) -> Held | None:
    """How to journal an act of this kind instead of performing it; None: perform it."""
    held = RAILS.get(kind, _UNKNOWN)
    return held if held is not None and not fleet.acts_on(held.rail) else None


def rail_of(kind: str) -> Rail | None:
    """The rail that acts of this kind run on; None for those that only read."""
    held = RAILS.get(kind, _UNKNOWN)
    return None if held is None else held.rail


async def hold_back(fleet: Fleet, act: Act, held: Held, evidence: dict[str, Any] | None = None) -> None:
    """Keeps the act pending and journals it, once. `evidence`: what it would have been done on."""
    entry = Entry(
        actor="loop:outbox",
        kind=held.kind,
        subject_kind=held.subject_kind,
        subject_id=act.subject,
        generation=act.generation,
        reason=f"rails are in observe mode: {held.text}",
        evidence={"act": act.id, **act.payload, **(evidence or {})},
    )
    until = fleet.clock.now() + LOOK_AGAIN
    if await fleet.write(lambda tx: hold(tx, act, until=until, entry=entry)):
        fleet.count("andon_automatic_acts_total", rail=held.rail.value, mode="observe")
