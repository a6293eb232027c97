"""Many rows in one go: the hot inserts of dispatch, journal and outbox.

The library's own path converts each value of each row through its types, which costs more than the
database does. Here the statement and the converters are made once for each table.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect

from andon.store.columns import Instant, Json, encode_json, to_micros


class _Plan:
    """How rows with these columns go into one table."""

    def __init__(self, table: Table, names: tuple[str, ...], dialect: Dialect) -> None:
        make = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
        compiled = make(table).on_conflict_do_nothing().compile(dialect=dialect, column_keys=list(names))
        self.statement = str(compiled)
        self.order: Sequence[str] | None = compiled.positiontup if dialect.positional else None
        self.converters: list[tuple[str, Callable[[Any], Any]]] = []
        for name in names:
            kind = table.c[name].type
            if isinstance(kind, Instant):
                self.converters.append((name, to_micros))
            elif isinstance(kind, Json):
                self.converters.append((name, encode_json))

    def parameters(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        """The rows as the driver wants them."""
        for row in rows:
            for name, convert in self.converters:
                value = row[name]
                if value is not None:
                    row[name] = convert(value)
        if self.order is None:
            return list(rows)
        return [tuple([row[name] for name in self.order]) for row in rows]


@lru_cache(maxsize=64)
def _plan(table: Table, names: tuple[str, ...], dialect: Dialect) -> _Plan:
    return _Plan(table, names, dialect)


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Inserts the rows that break no unique rule; says how many those were.

    All rows have the same keys, columns of the table. The dicts are the callee's to change.
    """
    if not rows:
        return 0
    plan = _plan(table, tuple(rows[0]), connection.dialect)
    return connection.exec_driver_sql(plan.statement, plan.parameters(rows)).rowcount
