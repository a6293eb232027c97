"""What a rail lets through: its mode, its cap, and which rail every kind of act runs on (R31, R98).

The tables that are asked before anything is done, by whatever does it: the executor of the outbox,
a loop, the agents' API. The state they are asked about is kept in the store (`store.rail_gate`).
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import ceil
from types import MappingProxyType
from typing import Literal

import msgspec

from andon.model.config import Mode
from andon.model.rails import Rail, RailMode

TICK = timedelta(minutes=1)
"""What a cap counts over. Not a pass of a loop: passes follow each other as fast as there is work."""
EVENT_ENDS = 2 * TICK
"""A cap event is over once the cap was not reached for so long: more than a whole tick."""

_STRICTNESS: Mapping[RailMode, int] = MappingProxyType({"act": 0, "observe": 1, "off": 2})


def stricter(fleet: Mode, switch: RailMode | None) -> RailMode:
    """What holds: `[rails] mode` is for all rails, and a switch can only restrain its own further."""
    return fleet if switch is None or _STRICTNESS[switch] < _STRICTNESS[fleet] else switch


class Cap(msgspec.Struct, frozen=True, kw_only=True):
    """Most acts of a rail in one tick: so many, or this part of the fleet, whichever is more."""

    least: int
    share: float = 0.0
    of: Literal["slots", "hosts"] = "slots"

    def limit(self, size: int) -> int:
        """The cap of a fleet with so many slots or hosts."""
        return max(self.least, ceil(self.share * size))


_NOT_BUILT = Cap(least=10)
CAPS: Mapping[Rail, Cap | None] = MappingProxyType(
    {
        # Demand, not danger: a claim needs a queued job and a free slot, is held to `max_slots`, and
        # GitHub's own pace holds the mints (github.pacing). A cap would make jobs wait for nothing.
        Rail.DISPATCH: None,
        # A whole host that is lost fits into one tick, and half of the fleet.
        Rail.RESCUE: Cap(least=30, share=0.5),
        Rail.REGISTRATIONS: Cap(least=30, share=0.5),
        # A quarter of GitHub's hourly quota, if there were something to send again all the time.
        Rail.REDELIVERY: Cap(least=20),
        # Our own clock may be the wrong one: then every host seems to be off.
        Rail.QUARANTINE: Cap(least=2, share=0.25, of="hosts"),
        Rail.RERUN: _NOT_BUILT,
        Rail.GUARD: _NOT_BUILT,
        Rail.DRAIN: _NOT_BUILT,
        Rail.BOOTSTRAP: _NOT_BUILT,
        Rail.TRACKER: _NOT_BUILT,
        Rail.COMMENTS: _NOT_BUILT,
        Rail.PROBES: _NOT_BUILT,
        Rail.UPGRADE: _NOT_BUILT,
    }
)


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What a rail said to one act."""

    rail: Rail
    mode: RailMode
    capped_until: datetime | None = None
    """The cap of this tick is used up; the next one begins then."""
    alert: bool = False
    """This act reached the cap, and no act did lately: said once for each such event."""

    @property
    def acts(self) -> bool:
        """Whether the act is to be performed."""
        return self.mode == "act" and self.capped_until is None


def tell(count: Callable[..., None], admission: Admission) -> None:
    """Counts what was admitted, or observed for the first time, once that is durable."""
    if admission.acts or admission.mode == "observe":
        count("andon_automatic_acts_total", rail=admission.rail.value, mode=admission.mode)
    if admission.alert:
        count("andon_rail_capped_total", rail=admission.rail.value)


class OnRail(msgspec.Struct, frozen=True, kw_only=True):
    """The rail of a kind of act, and how the act is journalled when it is not performed."""

    rail: Rail
    kind: str
    subject_kind: str
    text: str
    asks_itself: bool = False
    """Looks at GitHub first and asks the rail directly before it changes something: what turns out
    to be unnecessary uses nothing of the cap. The others are asked for by the executor."""


RAILS: Mapping[str, OnRail | None] = MappingProxyType(
    {
        "mint_runner": OnRail(
            rail=Rail.DISPATCH,
            kind="runner.would_mint",
            subject_kind="claim",
            text="a runner would have been registered at GitHub for a reserved claim",
        ),
        "retire_runner": OnRail(
            rail=Rail.REGISTRATIONS,
            kind="runner.would_retire",
            subject_kind="claim",
            text="a registration that no process of ours can use would have been removed",
            asks_itself=True,
        ),
        "reclaim_slot": OnRail(
            rail=Rail.RESCUE,
            kind="slot.would_reclaim",
            subject_kind="claim",
            text="a runner's process that outlives its completed job would have been ended, and its slot reclaimed",
            asks_itself=True,
        ),
        "redeliver": OnRail(
            rail=Rail.REDELIVERY,
            kind="delivery.would_request",
            subject_kind="delivery",
            text="GitHub would have been asked to send a delivery again",
            asks_itself=True,
        ),
        # Reads, and keeps what GitHub says; the one thing it may do to the world asks its rail itself.
        "resolve_claim": None,
        "learn_job": None,
        "learn_run": None,
        "note_would_claim": None,
    }
)
"""By kind of act. A kind that is not named here is held: what is unknown is not harmless."""
RELEASE = OnRail(
    rail=Rail.RESCUE,
    kind="claim.would_release",
    subject_kind="claim",
    text="a claim would have been given up and its registration removed",
)
"""The one consequence of "resolve_claim" that is an act."""
FREE_NAME = OnRail(
    rail=Rail.REGISTRATIONS,
    kind="runner.would_retire",
    subject_kind="claim",
    text="the registration that a lost answer left behind would have been removed",
)
"""What "mint_runner" removes when the name of its runner is taken."""
CONSEQUENCES: Mapping[str, OnRail] = MappingProxyType({"resolve_claim": RELEASE, "mint_runner": FREE_NAME})
"""What an act of this kind may have to do besides; it asks for that itself."""
_UNKNOWN = OnRail(
    rail=Rail.RESCUE, kind="act.would_perform", subject_kind="act", text="an act would have been performed"
)


def rail_of(kind: str) -> OnRail | None:
    """The rail that acts of this kind run on; None for those that only read."""
    return RAILS.get(kind, _UNKNOWN)


def rails_of(kind: str) -> frozenset[Rail]:
    """Every rail that an act of this kind can be held back by: the one it begins on, and that of its consequence."""
    asked = (rail_of(kind), CONSEQUENCES.get(kind))
    return frozenset(on.rail for on in asked if on is not None)


def kinds_on(rail: Rail) -> tuple[str, ...]:
    """The kinds of act in the outbox that wait while this rail does not let them through."""
    return tuple(kind for kind in RAILS if rail in rails_of(kind))


def shut_kinds(mode_of: Callable[[Rail], RailMode], is_full: Callable[[Rail], bool]) -> tuple[str, ...]:
    """The kinds of act that would only be held back if they were begun now.

    One that only reads is begun while its consequence's rail observes or is off, since GitHub's word is kept
    in any mode; while that rail is full it would be read again in the next tick, for the same calls.
    """
    shut: list[str] = []
    for kind, on in RAILS.items():
        begins = on if on is not None else CONSEQUENCES.get(kind)
        if begins is None:
            continue
        acts = mode_of(begins.rail) == "act"
        if (acts and is_full(begins.rail)) or (not acts and on is not None):
            shut.append(kind)
    return tuple(shut)
