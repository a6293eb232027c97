"""Inserts that replace a row that is already there, in either database's words."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite

from andon.store.prepared import Prepared


def upsert(connection: Connection, table: Table, row: dict[str, Any], *, key: Sequence[str]) -> None:
    """Inserts the row, or replaces the other columns of the one with the same `key`."""
    upsert_all(connection, table, [row], key=key)


def upsert_all(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, key: Sequence[str]) -> None:
    """`upsert` of several rows with the same columns."""
    if rows:
        _statement(table, tuple(rows[0]), tuple(key), connection.dialect.name).run_each(connection, rows)


@lru_cache(maxsize=64)
def _statement(table: Table, columns: tuple[str, ...], key: tuple[str, ...], dialect: str) -> Prepared:
    """Made once: to make a statement costs more than to run it."""
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = make(table).values({name: bindparam(name) for name in columns})
    others = {name: statement.excluded[name] for name in columns if name not in key}
    return Prepared(statement.on_conflict_do_update(index_elements=list(key), set_=others))
