"""PostgreSQL's own client library, for the few statements of the hot path (ADR 4).

Each layer above it costs as much as the server does for a small statement: SQLAlchemy's execution,
then the driver's cursor. Here a statement is prepared once for each connection and then run with
text values; waiting for the server leaves the interpreter to other threads. Errors still become
SQLAlchemy's, so that callers see one kind, and a lost connection is noticed as always.
"""

import contextlib
from collections.abc import Generator, Sequence
from typing import Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from sqlalchemy import Connection

_PREPARED = "andon_prepared"
_DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class Statement:
    """A statement with places $1, $2 ..., under a name that no other statement has."""

    def __init__(self, name: str, text: str) -> None:
        self.name = f"andon_{name}".encode()
        self.text = text.encode()


class Driver:
    """The client library's connection, in the transaction of the SQLAlchemy connection above it."""

    def __init__(self, pgconn: PGconn, prepared: set[bytes]) -> None:
        self._pgconn = pgconn
        self._prepared = prepared

    def run(self, statement: Statement, values: Sequence[bytes]) -> PGresult:
        """Runs it to its end. Raises the driver's error, psycopg.Error."""
        if statement.name not in self._prepared:
            self._checked(self._pgconn.prepare(statement.name, statement.text))
            self._prepared.add(statement.name)
        return self._checked(self._pgconn.exec_prepared(statement.name, values))

    def say(self, words: bytes) -> None:
        """Runs one or several statements without values, in one message."""
        self._checked(self._pgconn.exec_(words))

    def _checked(self, result: PGresult) -> PGresult:
        if result.status in _DONE:
            return result
        if self._pgconn.status == ConnStatus.BAD:
            raise psycopg.OperationalError(result.get_error_message())
        raise error_from_result(result)


@contextlib.contextmanager
def driver_of(connection: Connection) -> Generator[Driver]:
    """What lies under `connection`. Raises what SQLAlchemy raises for the driver's errors."""
    below: Any = connection.connection.driver_connection
    try:
        yield Driver(below.pgconn, connection.info.setdefault(_PREPARED, set()))
    except psycopg.Error as error:
        # SQLAlchemy has no public name for what it does with an error of its own statements: it
        # wraps it, tells who listens to "handle_error", and gives up a connection that is gone.
        connection._handle_dbapi_exception(error, None, None, None, None)  # pyright: ignore[reportPrivateUsage]
        raise


def number(value: int) -> bytes:
    """A number as a value of a statement."""
    return b"%d" % value
