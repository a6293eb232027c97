"""Many rows in one go: the hot inserts of dispatch, journal and outbox.

The library's own path converts each value of each row through its types, which costs more than the
database does. Here the statement and the converters are made once for each table.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, LargeBinary, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import Dialect

from andon.store.columns import Instant, Json, encode_json, to_micros
from andon.store.prepared import library_errors


class _Plan(ABC):
    """How rows with these columns go into one table."""

    def __init__(self, table: Table, names: tuple[str, ...], dialect: Dialect) -> None:
        self._converters: list[tuple[str, Callable[[Any], Any]]] = []
        for name in names:
            kind = table.c[name].type
            if isinstance(kind, Instant):
                self._converters.append((name, to_micros))
            elif isinstance(kind, Json):
                self._converters.append((name, encode_json))

    def insert(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        """Inserts them; says how many broke no unique rule."""
        for name, convert in self._converters:
            # Rows that are written together mostly hold the same moment.
            value, converted = None, None
            for row in rows:
                if row[name] is not value:
                    value = row[name]
                    converted = None if value is None else convert(value)
                row[name] = converted
        return self._execute(connection, rows)

    @abstractmethod
    def _execute(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int: ...


class _EachRow(_Plan):
    """SQLite: the driver runs one statement for each row, and there is no way to a server."""

    def __init__(self, table: Table, names: tuple[str, ...], dialect: Dialect) -> None:
        super().__init__(table, names, dialect)
        compiled = sqlite.insert(table).on_conflict_do_nothing().compile(dialect=dialect, column_keys=list(names))
        self._statement = str(compiled)
        # With one name it would give no tuple; a table's new rows have more.
        self._values: Callable[[dict[str, Any]], Any] = itemgetter(*(compiled.positiontup or names))

    def _execute(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        driver: Any = connection.connection.driver_connection
        with library_errors():
            return driver.executemany(self._statement, map(self._values, rows)).rowcount


class _OneStatement(_Plan):
    """PostgreSQL: all rows are one JSON parameter of one statement; a message for each row costs both
    sides more than the row does."""

    def __init__(self, table: Table, names: tuple[str, ...], dialect: Dialect) -> None:
        super().__init__(table, names, dialect)
        types = {name: table.c[name].type for name in names}
        binary = {name for name, kind in types.items() if isinstance(kind, LargeBinary)}
        # A column may be called as one of the database's own words is.
        quoted = {name: dialect.identifier_preparer.quote(name) for name in names}
        taken = ", ".join(f"decode({quoted[name]}, 'base64')" if name in binary else quoted[name] for name in names)
        typed = ", ".join(
            f"{quoted[name]} {'text' if name in binary else types[name].compile(dialect)}" for name in names
        )
        self._statement = (
            f"INSERT INTO {table.name} ({', '.join(quoted.values())}) "
            f"SELECT {taken} FROM json_to_recordset(%(rows)s::json) AS given({typed}) ON CONFLICT DO NOTHING"
        )

    def _execute(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        return connection.exec_driver_sql(self._statement, {"rows": encode_json(rows)}).rowcount


@lru_cache(maxsize=64)
def _plan(table: Table, names: tuple[str, ...], dialect: Dialect) -> _Plan:
    kind = _OneStatement if dialect.name == "postgresql" else _EachRow
    return kind(table, names, dialect)


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Inserts the rows that break no unique rule; says how many those were.

    All rows have the same keys, columns of the table. The dicts are the callee's to change.
    """
    if not rows:
        return 0
    return _plan(table, tuple(rows[0]), connection.dialect).insert(connection, rows)
