"""Inserts that leave rows alone that are already there, in either database's words."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, returning: str | None = None
) -> set[Any]:
    """Inserts the rows that break no unique rule; gives `returning` of those that were new."""
    if not rows:
        return set()
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(table).on_conflict_do_nothing()
    if returning is None:
        connection.execute(statement, rows)
        return set()
    result = connection.execute(statement.returning(table.c[returning]), rows)
    return set(result.scalars())


def upsert(connection: Connection, table: Table, row: dict[str, Any], *, key: Sequence[str]) -> None:
    """Inserts the row, or replaces the other columns of the one with the same `key`."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(table).values(row)
    others = {name: statement.excluded[name] for name in row if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=others))
