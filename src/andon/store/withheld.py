"""Adopted runners of slots that are not open or have no room: what is wanted of each, and what was taken from it at
GitHub.

The rows follow the slots' intents and the levels of their disks (level-triggered), so that nothing that was taken is
ever forgotten: a slot that is opened, or is adopted no more, gets it back. A fleet without adopted slots pays for two
looks into nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, and_, delete, select

from andon.model.host_states import Intent
from andon.model.journal import Entry
from andon.model.rails import Rail
from andon.model.withheld import Stage, Withheld
from andon.rules.withholding import TRIED_FOR
from andon.store.prepared import Records
from andon.store.rails import acts_by_what_is_kept
from andon.store.rows import to_columns, to_struct
from andon.store.schema import ADOPTED, disks, hosts, slots, withheld_runners
from andon.store.transaction import Tx
from andon.store.upsert import upsert

ACTOR = "loop:withheld"
_OF_HOST = select(withheld_runners)
_ALL = Records(select(withheld_runners).order_by(withheld_runners.c.host, withheld_runners.c.slot), Withheld)


def all_withheld(connection: Connection) -> tuple[Withheld, ...]:
    """Every row, those that are being given back among them."""
    return tuple(_ALL.structs(connection))


def held_without_its_listener(connection: Connection, host: str, now: datetime) -> tuple[int, ...]:
    """The slots of the host whose listeners may go on although they are not open: GitHub gives them no job, or is
    being told so for less than `TRIED_FOR`."""
    rows = connection.execute(_OF_HOST.where(withheld_runners.c.host == host)).mappings()
    found = [to_struct(row, Withheld) for row in rows]
    return tuple(
        each.slot
        for each in found
        if each.stage is Stage.TAKEN or (each.stage is Stage.TAKING and now - each.since < TRIED_FOR)
    )


def changes_due(connection: Connection, rows: Sequence[Withheld]) -> bool:
    """Whether `agree` would change a row."""
    closed = _closed(connection)
    return {(each.host, each.slot): each.runner for each in rows if each.stage is not Stage.RETURNING} != closed


def agree(tx: Tx) -> None:
    """Brings the rows to what the slots' intents say; nothing at GitHub changes by it."""
    closed = _closed(tx.connection)
    known = {(each.host, each.slot): each for each in all_withheld(tx.connection)}
    for key, runner in closed.items():
        row = known.get(key)
        if row is None:
            host, slot = key
            keep(tx, Withheld(host=host, slot=slot, runner=runner, stage=Stage.TAKING, since=tx.now, due_at=tx.now))
        elif row.stage is Stage.RETURNING and row.runner == runner:
            keep(tx, msgspec.structs.replace(row, stage=Stage.TAKING, since=tx.now, due_at=tx.now, reason=None))
    for key, row in known.items():
        if row.stage is not Stage.RETURNING and closed.get(key) != row.runner:
            if row.labels or row.group_id is not None:
                keep(tx, msgspec.structs.replace(row, stage=Stage.RETURNING, since=tx.now, due_at=tx.now, reason=None))
            else:
                drop(tx, row)
    tx.nudges.add("withheld")


def keep(tx: Tx, row: Withheld) -> None:
    """Writes the row, whatever stood there."""
    upsert(tx.connection, withheld_runners, to_columns(row), key=("host", "slot"))
    tx.nudges.add(f"host:{row.host}")


def drop(tx: Tx, row: Withheld) -> None:
    """Nothing is taken from the runner any more."""
    here = and_(withheld_runners.c.host == row.host, withheld_runners.c.slot == row.slot)
    tx.connection.execute(delete(withheld_runners).where(here))


def tell(tx: Tx, row: Withheld, kind: str, reason: str) -> None:
    """Journals what became of the runner."""
    tx.record(
        Entry(
            actor=ACTOR,
            kind=kind,
            subject_kind="slot",
            subject_id=f"{row.host}/{row.slot}",
            reason=reason,
            evidence={"runner": row.runner, "labels": list(row.labels), "group": row.group_id},
            host=row.host,
        )
    )


def runners_withheld(connection: Connection, names: Iterable[str]) -> frozenset[str]:
    """Those of `names` from which something is taken, so that their labels do not say what they serve."""
    wanted = frozenset(names)
    return frozenset(each.runner for each in all_withheld(connection) if each.runner in wanted and each.labels)


def _closed(connection: Connection) -> dict[tuple[str, int], str]:
    """Adopted slots that may get no job, with their runners' names: those that are not open, and those whose jobs
    would have no room."""
    rows = connection.execute(
        select(slots.c.host, slots.c.slot, slots.c.runner, slots.c.intent, hosts.c.intent.label("of_host"))
        .join(hosts, hosts.c.name == slots.c.host)
        .where(ADOPTED, slots.c.runner.is_not(None))
    ).all()
    is_open = Intent.OPEN.value
    short = short_of_room(connection) if rows else frozenset[tuple[str, int]]()
    return {
        (row.host, row.slot): row.runner
        for row in rows
        if row.intent != is_open or row.of_host != is_open or (row.host, row.slot) in short
    }


def short_of_room(connection: Connection) -> frozenset[tuple[str, int]]:
    """Slots that write to a filesystem that takes no job now, while the guard acts (host-facts.md 2.3): nothing is
    minted on other slots there, and a persistent runner would go on taking jobs (S2)."""
    found = connection.execute(select(disks.c.host, disks.c.slots).where(~disks.c.admits)).all()
    if not found or not acts_by_what_is_kept(connection, Rail.GUARD):
        return frozenset()
    return frozenset((row.host, slot) for row in found for slot in row.slots)
