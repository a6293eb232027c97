"""How values lie in columns, the same in both databases.

Instants are microseconds since 1970 as integers: exact, ordered, and free of what two databases
think of time zones. Structured values are JSON text.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import BigInteger, BindParameter, ColumnElement, Dialect, Text, bindparam, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(at: datetime) -> int:
    """Microseconds since 1970. Raises ValueError for a naive time."""
    if at.tzinfo is None:
        raise ValueError(f"a naive time reached the store: {at.isoformat()}")
    return (at - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """The aware UTC time of a stored instant."""
    return _EPOCH + timedelta(microseconds=value)


class Instant(TypeDecorator[datetime]):
    """An aware UTC time."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


class _DatabaseTime(FunctionElement[datetime]):
    """The database's own clock, in microseconds since 1970."""

    type = Instant()
    inherit_cache = True


@compiles(_DatabaseTime)
def _no_clock(element: _DatabaseTime, compiler: SQLCompiler, **how: Any) -> str:
    # One machine has the file: its own clock is given.
    return "NULL"


@compiles(_DatabaseTime, "postgresql")
def _clock(element: _DatabaseTime, compiler: SQLCompiler, **how: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


def or_database_time(name: str) -> ColumnElement[datetime]:
    """The value of that name or, where it is None, the moment of the database that replicas share: theirs differ."""
    given: BindParameter[datetime] = bindparam(name, type_=Instant())
    return func.coalesce(given, _DatabaseTime(), type_=Instant())


encode_json_bytes: Callable[[Any], bytes] = msgspec.json.Encoder().encode
"""A list or an object as JSON in UTF-8."""


def encode_json(value: Any) -> str:
    """A list or an object as JSON text."""
    return encode_json_bytes(value).decode()


decode_json: Callable[[str], Any] = msgspec.json.Decoder().decode
"""What `encode_json` wrote."""


class Json(TypeDecorator[Any]):
    """A list or an object, as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else encode_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else decode_json(value)
