"""Statements that are made and compiled once, for what runs with every job, sync and round (ADR 4).

The library makes, hashes and runs a statement in several times the time that SQLite needs for it. Here
its compiler is asked once, and the driver runs what it wrote; values go through the same column types.
On PostgreSQL, where the way to the server costs more, the library runs the statement itself.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import BindParameter, Connection, Dialect, Executable, Select, bindparam, exc
from sqlalchemy.sql import ClauseElement
from sqlalchemy.types import TypeEngine

from andon.store.columns import Instant, Json, decode_json, encode_json, from_micros, to_micros

T = TypeVar("T", bound=msgspec.Struct)
_Convert = Callable[[Any], Any]

_KINDS: tuple[tuple[type[sqlite3.Error], type[exc.DBAPIError]], ...] = (
    (sqlite3.OperationalError, exc.OperationalError),
    (sqlite3.IntegrityError, exc.IntegrityError),
    (sqlite3.InternalError, exc.InternalError),
    (sqlite3.DataError, exc.DataError),
    (sqlite3.NotSupportedError, exc.NotSupportedError),
    (sqlite3.ProgrammingError, exc.ProgrammingError),
    (sqlite3.InterfaceError, exc.InterfaceError),
)


def _of_the_library(error: sqlite3.Error) -> exc.DBAPIError:
    """Without statement and values: one of them could be a JIT config on its way into a log (R26)."""
    kind = next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), exc.DBAPIError)
    return kind(None, None, error, hide_parameters=True)


@contextlib.contextmanager
def library_errors() -> Generator[None]:
    """What SQLite's driver raises within comes out as the library's, of one kind for all callers."""
    try:
        yield
    except sqlite3.Error as error:
        raise _of_the_library(error) from error


class Prepared:
    """One statement, with values by name. It runs in a transaction that the caller has begun.

    Every method raises what the library raises for the driver's errors.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._on_sqlite: _OnSqlite | None = None

    def run(self, connection: Connection, **values: Any) -> int:
        """Changes rows; says how many."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).rowcount
        return self._execute(connection, values)[0].rowcount

    def run_each(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Changes rows, once for each of the given values."""
        if connection.dialect.name != "sqlite":
            connection.execute(self._statement, rows)
            return
        for values in rows:
            self._execute(connection, values)

    def all(self, connection: Connection, **values: Any) -> Sequence[Any]:
        """Every row, as a tuple or what unpacks as one."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).all()
        cursor, on = self._execute(connection, values)
        rows = cursor.fetchall()
        return [on.converted(row) for row in rows] if on.results else rows

    def first(self, connection: Connection, **values: Any) -> Any | None:
        """The first row, or None."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).first()
        cursor, on = self._execute(connection, values)
        row = cursor.fetchone()
        cursor.close()
        return on.converted(row) if row is not None and on.results else row

    def value(self, connection: Connection, **values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.first(connection, **values)
        return None if row is None else row[0]

    def _execute(self, connection: Connection, values: dict[str, Any]) -> "tuple[sqlite3.Cursor, _OnSqlite]":
        on = self._on_sqlite
        if on is None:
            on = self._on_sqlite = _OnSqlite(self._statement, connection.dialect)
        driver: Any = connection.connection.driver_connection
        try:
            return driver.execute(on.text, on.arguments(values)), on
        except sqlite3.Error as error:
            raise _of_the_library(error) from error


class Records(Prepared, Generic[T]):
    """A statement whose rows are structs; columns that the struct lacks are left out."""

    def __init__(self, statement: Select[*tuple[Any, ...]], kind: type[T]) -> None:
        super().__init__(statement)
        self._kind = kind
        # The library's names are a subclass of str, which msgspec does not take for field names.
        self._names = tuple(str(column.name) for column in statement.selected_columns)

    def structs(self, connection: Connection, **values: Any) -> list[T]:
        """Every row as a struct."""
        return [self.of(row) for row in self.all(connection, **values)]

    def struct(self, connection: Connection, **values: Any) -> T | None:
        """The first row as a struct, or None."""
        row = self.first(connection, **values)
        return None if row is None else self.of(row)

    def of(self, row: Any) -> T:
        """The struct of a row of `all` or `first`."""
        return msgspec.convert(dict(zip(self._names, row, strict=True)), self._kind)


class _OnSqlite:
    """What the library's compiler wrote for SQLite, and how values come in and out."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        assert isinstance(statement, ClauseElement)
        compiled: Any = statement.compile(dialect=dialect)
        self.text = str(compiled)
        if "POSTCOMPILE" in self.text:
            raise TypeError(f"A list in a prepared statement needs places of its own, `listed`: {self.text[:200]}")
        self._arguments: list[tuple[str | None, Any, _Convert | None]] = []
        """(name, None, how it is written), or (None, the value that stands in the statement, None), in the
        driver's order."""
        for name in compiled.positiontup:
            bind: BindParameter[Any] = compiled.binds[name]
            convert = _way_in(bind.type, dialect)
            if bind.required:
                self._arguments.append((name, None, convert))
            else:
                value = bind.effective_value
                self._arguments.append((None, value if convert is None or value is None else convert(value), None))
        columns = statement.selected_columns if isinstance(statement, Select) else ()
        ways = [_way_out(column.type, dialect) for column in columns]
        self.results: list[tuple[int, _Convert]] = [(at, way) for at, way in enumerate(ways) if way is not None]

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        given: list[Any] = []
        for name, fixed, convert in self._arguments:
            value = fixed if name is None else values[name]
            given.append(value if convert is None or value is None else convert(value))
        return given

    def converted(self, row: tuple[Any, ...]) -> Sequence[Any]:
        values = list(row)
        for at, convert in self.results:
            value = values[at]
            if value is not None:
                values[at] = convert(value)
        return values


def _way_in(kind: TypeEngine[Any], dialect: Dialect) -> _Convert | None:
    if isinstance(kind, Instant):
        return to_micros
    if isinstance(kind, Json):
        return encode_json
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _way_out(kind: TypeEngine[Any], dialect: Dialect) -> _Convert | None:
    if isinstance(kind, Instant):
        return from_micros
    if isinstance(kind, Json):
        return decode_json
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def listed(name: str, count: int) -> list[BindParameter[Any]]:
    """Places for a list of `count` values in a statement that is made for lists of that length."""
    return [bindparam(f"{name}_{at}") for at in range(count)]


def values_of(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """The values for `listed`."""
    return {f"{name}_{at}": value for at, value in enumerate(values)}
