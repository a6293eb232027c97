"""The PostgreSQL driver itself, for the few statements of the hot path (ADR 4).

The library's way through a statement and its result costs as much as the server's work on a small
one, and it has no pipelines. Errors still become the library's own, so that callers see one kind.
"""

import contextlib
from collections.abc import Generator
from typing import Any

import psycopg
from sqlalchemy import Connection

Driver = psycopg.Connection[tuple[Any, ...]]


@contextlib.contextmanager
def driver_of(connection: Connection) -> Generator[Driver]:
    """The driver's connection under `connection`, in the same transaction.

    Raises what the library raises for the driver's errors; a lost connection is noticed as always.
    """
    driver: Any = connection.connection.driver_connection
    try:
        yield driver
    except psycopg.Error as error:
        # The library has no public name for what it does with an error of its own statements: it
        # wraps it, tells who listens to "handle_error", and gives up a connection that is gone.
        connection._handle_dbapi_exception(error, None, None, None, None)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        raise


def send(driver: Driver, statement: str, parameters: tuple[Any, ...]) -> psycopg.RawCursor[tuple[Any, ...]]:
    """Runs a statement whose places are written $1, $2 ...; inside a pipeline it is only sent."""
    return psycopg.RawCursor(driver).execute(statement.encode(), parameters)
