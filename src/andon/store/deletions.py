"""Hosts' deletion journals, as they were told: each deletion once, whoever tells it again (R49)."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from andon.model.disk import Deletion, PathClass
from andon.model.journal import Entry
from andon.store.bulk import insert_new
from andon.store.disk_tables import FOREIGN_DELETION, deletions
from andon.store.prepared import Prepared, Records
from andon.store.rows import to_struct
from andon.store.transaction import Tx

FOREIGN = "foreign"
"""The actor of a deletion that was not ours."""
_LONGEST_ID, _LONGEST_PATH, _LONGEST_WORDS = 200, 4096, 1000
_MOST_EVIDENCE = 20
_ONE_STATEMENT = 500


class KeptDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """One deletion as it was told."""

    seq: int
    host: str
    id: str
    at: datetime
    """By the host's clock."""
    told_at: datetime
    """By ours."""
    path: str
    path_class: str
    actor: str
    reason: str
    bytes: int | None
    lease: str | None
    evidence: tuple[str, ...]


def keep(tx: Tx, host: str, told: Sequence[Deletion]) -> Counter[str]:
    """Keeps those that are new; gives how many those were, by class. A foreign one is journalled, too.

    Whoever tells it again was not acknowledged, or not heard; or knows its bytes now, for what went into the trash is
    measured when it is gone. One whose id is no good cannot be told from others and is left out.
    """
    named = {each.id: each for each in told if each.id and len(each.id) <= _LONGEST_ID}
    known = _known(tx.connection, host, list(named))
    new = [each for id, each in named.items() if id not in known]
    for at in range(0, len(new), _ONE_STATEMENT):
        insert_new(tx.connection, deletions, [_row(host, each, tx.now) for each in new[at : at + _ONE_STATEMENT]])
    for id in sorted(known):
        if named[id].bytes is not None:
            _MEASURED.run(tx.connection, of_host=host, of_id=id, size=named[id].bytes)
    for each in new:
        if each.actor == FOREIGN:
            tx.record(_line(host, each))
            tx.nudges.add("pages")
    return Counter(PathClass(each.path_class).value for each in new)


_MEASURED = Prepared(
    update(deletions)
    .where(deletions.c.host == bindparam("of_host"), deletions.c.id == bindparam("of_id"), deletions.c.bytes.is_(None))
    .values(bytes=bindparam("size", type_=deletions.c.bytes.type))
)


def _known(connection: Connection, host: str, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for at in range(0, len(ids), _ONE_STATEMENT):
        query = select(deletions.c.id).where(
            deletions.c.host == host, deletions.c.id.in_(ids[at : at + _ONE_STATEMENT])
        )
        found |= set(connection.execute(query).scalars())
    return found


def _row(host: str, told: Deletion, now: datetime) -> dict[str, object]:
    return {
        "host": host,
        "id": told.id,
        # A time without a zone says nothing.
        "at": told.at if told.at.tzinfo is not None else now,
        "told_at": now,
        "path": told.path[:_LONGEST_PATH],
        "path_class": told.path_class[:_LONGEST_WORDS],
        "actor": told.actor[:_LONGEST_WORDS],
        "reason": told.reason[:_LONGEST_WORDS],
        "bytes": told.bytes,
        "lease": _lease(told),
        "evidence": _evidence(told),
    }


def _lease(told: Deletion) -> str | None:
    return None if told.lease is None else told.lease[:_LONGEST_WORDS]


def _evidence(told: Deletion) -> list[str]:
    return [each[:_LONGEST_WORDS] for each in told.evidence[:_MOST_EVIDENCE]]


def _line(host: str, told: Deletion) -> Entry:
    return Entry(
        actor=f"agent:{host}",
        kind="guard.foreign",
        subject_kind="host",
        subject_id=host,
        reason=f"{told.path[:_LONGEST_PATH]} is gone, and the guard did not take it: {told.reason[:_LONGEST_WORDS]}",
        evidence={"path": told.path[:_LONGEST_PATH], "lease": _lease(told), "candidates": _evidence(told)},
        host=host,
    )


_FOREIGN_SINCE = Records(
    select(deletions)
    .where(FOREIGN_DELETION, deletions.c.told_at > bindparam("since", type_=deletions.c.told_at.type))
    .order_by(deletions.c.told_at, deletions.c.seq)
    .limit(bindparam("most")),
    KeptDeletion,
)


def foreign_since(connection: Connection, since: datetime, most: int) -> list[KeptDeletion]:
    """Those that were not ours and were told after that moment, oldest first."""
    return _FOREIGN_SINCE.structs(connection, since=since, most=most)


def newest(connection: Connection, host: str, limit: int) -> list[KeptDeletion]:
    """The host's deletions that were told last, newest first."""
    query = select(deletions).where(deletions.c.host == host).order_by(deletions.c.seq.desc()).limit(limit)
    return [to_struct(row, KeptDeletion) for row in connection.execute(query).mappings()]
