"""What observe mode leaves undone: journalled once as "would", and kept for the day it may act (R98).

The memory of what was said already is an outbox row of kind "would", written with the journal line.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from andon.model.config import Mode
from andon.model.journal import Entry
from andon.model.rails import Rail
from andon.rules.rails import RAILS, rails_of
from andon.store import claims
from andon.store.bulk import insert_new
from andon.store.columns import to_micros
from andon.store.outbox import HELD, OFF, Act
from andon.store.schema import meta, outbox, rails
from andon.store.transaction import Tx
from andon.store.upsert import upsert

SAID = "would"
"""Kind of the outbox rows that remember what was journalled."""
_MODE = "rails.mode"
_MODE_SINCE = "rails.mode_since"


def would(tx: Tx, *, key: str, entry: Entry) -> bool:
    """Journals, once for each `key`, what would have been done; says whether this was the once."""
    row: dict[str, Any] = {
        "id": tx.ids.new("act"),
        "kind": SAID,
        "idempotency_key": f"{SAID}:{key}",
        "subject": entry.subject_id,
        "payload": {},
        "state": "done",
        "attempts": 0,
        "not_before": tx.now,
        "created_at": tx.now,
        "done_at": tx.now,
    }
    if not insert_new(tx.connection, outbox, [row]):
        return False
    tx.record(msgspec.structs.replace(entry, mode="observe"))
    return True


def hold(tx: Tx, act: Act, *, until: datetime, entry: Entry, since: datetime | None) -> bool:
    """Keeps a decided act pending while its rail observes; says whether it was journalled now.

    It is said once for what it would have been done to, with the evidence of the first look, and again only
    after somebody gave another word on its rail (`since`): not after a start, or a look that failed.
    """
    before = hold_quietly(tx, act, until=until, because=HELD)
    if before is None or before == HELD:
        return False
    if entry.subject_kind == "claim" and (claim := claims.get_claim(tx.connection, entry.subject_id)) is not None:
        # So that the job's story shows what was not done for it (R16).
        entry = msgspec.structs.replace(entry, job_id=claim.job_id, host=claim.host)
    word = to_micros(since) if since is not None else 0
    return would(tx, key=f"{entry.kind}:{act.kind}:{act.subject}:{word}", entry=entry)


def hold_quietly(tx: Tx, act: Act, *, until: datetime, because: str) -> str | None:
    """Keeps a decided act pending, without counting a try; gives why it waited before, "" for nothing.

    None: it is not pending any more.
    """
    held = tx.connection.execute(
        select(outbox.c.result).where(outbox.c.id == act.id, outbox.c.state == "pending")
    ).first()
    if held is None:
        return None
    tx.connection.execute(
        update(outbox)
        .where(outbox.c.id == act.id, outbox.c.state == "pending")
        .values(not_before=until, result=because)
    )
    return held.result or ""


def let_go(tx: Tx, kinds: Collection[str] | None = None, *, but: Collection[str] = ()) -> None:
    """Makes acts that a rail held back due at once; None: those of every kind, `but` some."""
    waits = outbox.c.state == "pending"
    if kinds is not None:
        waits &= outbox.c.kind.in_(list(kinds))
    if but:
        waits &= outbox.c.kind.not_in(list(but))
    tx.connection.execute(
        update(outbox).where(waits, outbox.c.result.in_([HELD, OFF])).values(not_before=tx.now, result=None)
    )
    tx.nudges.add("outbox")


def note_mode(tx: Tx, mode: Mode) -> bool:
    """Journals a change of `[rails] mode` since the last start; says whether it changed.

    In the mode "act" what was held back is due at once; each act looks first whether it is still
    wanted.
    """
    before = tx.connection.execute(select(meta.c.value).where(meta.c.name == _MODE)).scalar_one_or_none()
    if mode == "act":
        let_go(tx, but=_switched_away(tx))
    if before == mode:
        return False
    upsert(tx.connection, meta, {"name": _MODE, "value": mode}, key=("name",))
    upsert(tx.connection, meta, {"name": _MODE_SINCE, "value": tx.now.isoformat()}, key=("name",))
    tx.record(
        Entry(
            actor="operator",
            kind="rails.mode_changed",
            subject_kind="fleet",
            subject_id="rails",
            from_state=before,
            to_state=mode,
            reason="[rails] mode of the configuration"
            + (", at the first start" if before is None else " differs from the last start's"),
            mode=mode,
        )
    )
    return True


def acts_by_what_is_kept(connection: Connection, rail: Rail) -> bool:
    """Whether the rail acts by the last start's configuration and the operator's switch, for who has no configuration
    at hand. Where no start was noted it does not."""
    mode = connection.execute(select(meta.c.value).where(meta.c.name == _MODE)).scalar_one_or_none()
    switch = connection.execute(select(rails.c.switch).where(rails.c.rail == rail.value)).scalar_one_or_none()
    return mode == "act" and switch in (None, "act")


def mode_since(connection: Connection) -> datetime | None:
    """When `[rails] mode` last changed; None: not since this is kept."""
    kept = connection.execute(select(meta.c.value).where(meta.c.name == _MODE_SINCE)).scalar_one_or_none()
    return None if kept is None else datetime.fromisoformat(kept)


def _switched_away(tx: Tx) -> tuple[str, ...]:
    """The kinds of act that the operator's switches hold back in any mode of the configuration."""
    away = set(tx.connection.execute(select(rails.c.rail).where(rails.c.switch.in_(["observe", "off"]))).scalars())
    return tuple(kind for kind in RAILS if (on := rails_of(kind)) and on <= away)
