"""How often, and since when, the place of a claim in doubt was found out of reach.

Kept in the act "resolve_claim" itself: each counted look closes it and orders the next one, so that a
restart neither forgets looks nor counts one twice.
"""

from datetime import datetime

import msgspec

from andon.github.outcomes import Failed
from andon.loops.acts.next_try import next_try
from andon.rules.claim_doubt import LOOKS_APART
from andon.store import outbox
from andon.store.columns import to_micros
from andon.store.outbox import Act
from andon.store.transaction import Tx

_NAME = "out_of_reach"


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """Looks in a row, none answered by the place itself."""

    number: int
    since: datetime

    def facts(self) -> dict[str, str]:
        """For the journal."""
        return {"looks": str(self.number), "out_of_reach_since": self.since.isoformat()}


def with_this_one(act: Act, now: datetime) -> Looks:
    """The looks that the act remembers, and the one of now."""
    kept = act.payload.get(_NAME)
    before = None if kept is None else msgspec.convert(kept, Looks)
    return Looks(number=1 if before is None else before.number + 1, since=now if before is None else before.since)


def look_again(tx: Tx, act: Act, looks: Looks, failed: Failed) -> None:
    """Remembers the looks, and asks again no sooner than they count."""
    if outbox.finish(tx, act, result=f"out of reach, look {looks.number}: {failed.message}"):
        until = max(next_try(failed, 0, tx.now), tx.now + LOOKS_APART)
        _order(tx, act, {**act.payload, _NAME: msgspec.to_builtins(looks)}, until)


def forget(tx: Tx, act: Act, *, until: datetime, reason: str) -> None:
    """The place answered: asked again at `until`, with nothing counted."""
    if _NAME not in act.payload:
        outbox.postpone(tx, act, until=until, reason=reason)
    elif outbox.finish(tx, act, result=reason):
        _order(tx, act, {name: value for name, value in act.payload.items() if name != _NAME}, until)


def _order(tx: Tx, act: Act, payload: dict[str, object], until: datetime) -> None:
    tx.order(
        act.kind,
        key=f"resolve:{act.subject}:after:{act.id}:{to_micros(tx.now)}",
        subject=act.subject,
        generation=act.generation,
        payload=payload,
        delay=until - tx.now,
    )
