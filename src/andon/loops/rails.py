"""How acts of the outbox pass the gate of their rail, and what is written when they do not (R31, R98).

The tables are in `rules.rails`, the state in `store.rail_gate`. Acts that only read GitHub, and
correct our own picture of it, have no rail.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from andon.loops.fleet import Fleet
from andon.model.journal import Entry
from andon.model.rails import RailMode
from andon.rules.rails import Admission, OnRail, tell
from andon.store.outbox import CAPPED, OFF, Act
from andon.store.rail_gate import admit, restrained_since
from andon.store.rails import hold, hold_quietly
from andon.store.transaction import Tx

LOOK_AGAIN = timedelta(minutes=1)
LONGEST = timedelta(hours=1)
"""How soon a held act is looked at again, at first and at last; a change of the mode makes it due at once."""


async def admitted(
    fleet: Fleet,
    act: Act,
    on: OnRail,
    evidence: dict[str, Any] | None = None,
    *,
    still: Callable[[Tx], bool] = lambda tx: True,
) -> bool:
    """Asks directly before something outside is changed; an act that has to wait is held back.

    `still`: whether it is wanted at all, in the same transaction, which changes nothing unless we lead.
    """

    def work(tx: Tx) -> Admission | None:
        if not still(tx):
            return None
        answer = admit(tx, on.rail, fleet.config.rails.mode)
        if answer.acts:
            return answer
        first = _hold(tx, act, on, answer.mode, answer.capped_until, evidence or {})
        return answer if first or answer.mode != "observe" else None

    answer = await fleet.write(work)
    if answer is None:
        return False
    tell(fleet.count, answer)
    return answer.acts


async def hold_back(fleet: Fleet, act: Act, on: OnRail, mode: RailMode, capped_until: datetime | None = None) -> None:
    """Keeps an act pending whose rail does not act, or has used up its cap; observe mode journals it, once."""
    if await fleet.write(lambda tx: _hold(tx, act, on, mode, capped_until, {})):
        tell(fleet.count, Admission(rail=on.rail, mode=mode))


def _hold(
    tx: Tx, act: Act, on: OnRail, mode: RailMode, capped_until: datetime | None, evidence: dict[str, Any]
) -> bool:
    """Says whether the act was journalled as "would" now."""
    if mode != "observe":
        because = OFF if mode == "off" else CAPPED
        hold_quietly(tx, act, until=capped_until or tx.now + _pause(act, tx.now), because=because)
        return False
    entry = Entry(
        actor="loop:outbox",
        kind=on.kind,
        subject_kind=on.subject_kind,
        subject_id=act.subject,
        generation=act.generation,
        reason=f"rails are in observe mode: {on.text}",
        evidence={"act": act.id, **act.payload, **evidence},
    )
    since = restrained_since(tx.connection, on.rail)
    return hold(tx, act, until=tx.now + _pause(act, tx.now), entry=entry, since=since)


def _pause(act: Act, now: datetime) -> timedelta:
    """As long as it has waited already, so that what is held for a day is not looked at twice a minute: to look
    can cost calls, and the switch back waits for no pause."""
    return min(max(now - act.created_at, LOOK_AGAIN), LONGEST)
