"""What observe mode leaves undone: journalled once as "would", and kept for the day it may act (R98).

The memory of what was said already is an outbox row of kind "would", written with the journal line.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select, update

from andon.model.config import Mode
from andon.model.journal import Entry
from andon.store import claims
from andon.store.bulk import insert_new
from andon.store.columns import to_micros
from andon.store.outbox import Act
from andon.store.schema import meta, outbox
from andon.store.transaction import Tx
from andon.store.upsert import upsert

SAID = "would"
"""Kind of the outbox rows that remember what was journalled."""
HELD = "held back: its rail is in observe mode"
"""The `result` of an act that waits for its rail to act."""
OFF = "held back: its rail is switched off"
"""The same for a rail that is off: nothing is journalled of each act."""
CAPPED = "held back: the cap of its rail is used up"
"""The same until the next tick of the rail."""
_MODE = "rails.mode"


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


def hold(tx: Tx, act: Act, *, until: datetime, entry: Entry) -> bool:
    """Keeps a decided act pending while its rail observes; says whether it was journalled now.

    It is said again only after it was let go in between.
    """
    before = hold_quietly(tx, act, until=until, because=HELD)
    if before is None or before == HELD:
        return False
    if entry.subject_kind == "claim" and (claim := claims.get_claim(tx.connection, entry.subject_id)) is not None:
        # So that the job's story shows what was not done for it (R16).
        entry = msgspec.structs.replace(entry, job_id=claim.job_id, host=claim.host)
    return would(tx, key=f"{act.id}:{to_micros(tx.now)}", entry=entry)


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


def let_go(tx: Tx, kinds: Collection[str] | None = None) -> None:
    """Makes acts that a rail held back due at once; None: those of every kind."""
    waits = outbox.c.state == "pending"
    if kinds is not None:
        waits &= outbox.c.kind.in_(list(kinds))
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
        let_go(tx)
    if before == mode:
        return False
    upsert(tx.connection, meta, {"name": _MODE, "value": mode}, key=("name",))
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
