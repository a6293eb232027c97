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
from sqlalchemy import Connection, exc

from andon.store.one_message import ask_both

_PREPARED = "andon_prepared"
_KINDS: dict[type[psycopg.Error], type[exc.DBAPIError]] = {
    psycopg.OperationalError: exc.OperationalError,
    psycopg.InternalError: exc.InternalError,
    psycopg.IntegrityError: exc.IntegrityError,
    psycopg.DataError: exc.DataError,
    psycopg.ProgrammingError: exc.ProgrammingError,
    psycopg.NotSupportedError: exc.NotSupportedError,
    psycopg.InterfaceError: exc.InterfaceError,
}
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
        self._prepare(statement)
        return self._checked(self._pgconn.exec_prepared(statement.name, values))

    def run_after(self, words: bytes, statement: Statement, values: Sequence[bytes]) -> PGresult:
        """Runs `words`, a statement without values, and then `statement`, in one message.

        Raises the driver's error of the one that failed, psycopg.Error; then the second was not run.
        """
        self._prepare(statement)
        answers = ask_both(self._pgconn, words, statement.name, values)
        self._checked(answers[0])
        return self._checked(answers[-1])

    def say(self, words: bytes) -> None:
        """Runs one or several statements without values, in one message."""
        self._checked(self._pgconn.exec_(words))

    def _prepare(self, statement: Statement) -> None:
        if statement.name not in self._prepared:
            self._checked(self._pgconn.prepare(statement.name, statement.text))
            self._prepared.add(statement.name)

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
        without_values(error)
        if below.closed:
            # Asked anything, SQLAlchemy finds it gone by itself, and gives it up with whatever its pool
            # keeps from the same time.
            with contextlib.suppress(exc.DBAPIError):
                connection.exec_driver_sql("")
        kind = next((ours for theirs, ours in _KINDS.items() if isinstance(error, theirs)), exc.DBAPIError)
        lost = connection.invalidated
        raise kind(None, None, error, hide_parameters=True, connection_invalidated=lost) from error


def without_values(error: psycopg.Error) -> None:
    """The server's DETAIL quotes the row that it refused; a secret could be in it (R26)."""
    if error.diag.message_detail:
        error.args = (error.diag.message_primary or type(error).__name__,)


def number(value: int) -> bytes:
    """A number as a value of a statement."""
    return b"%d" % value
