"""SQLite in memory, in the caller's own thread: the database of the simulator.

The same schema, migrations and statements as on disk; a transaction takes no time by itself. What
the time between a commit and its answer would show is shown by `pause`, which the caller may inject.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool

from andon.store.database import Closed
from andon.store.migrate import migrate

T = TypeVar("T")


async def _at_once() -> None:
    """No time passes."""


class InlineDatabase:
    """One database; every door to it is a process that may be cut off on its own."""

    def __init__(self) -> None:
        self._engine = create_engine(
            "sqlite://",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "cached_statements": 512},
            hide_parameters=True,
        )
        event.listen(self._engine, "connect", _on_connect)
        event.listen(self._engine, "begin", _on_begin)
        migrate(self._engine, "the simulator's memory")
        self.connection = self._engine.connect()

    def door(self, pause: Callable[[], Awaitable[None]] = _at_once) -> "Door":
        """A process's way in."""
        return Door(self.connection, pause)

    def close(self) -> None:
        """Forgets everything."""
        self.connection.close()
        self._engine.dispose()


class Door:
    """A `Database` for one process. Cut off, it changes and tells nothing any more, as after SIGKILL."""

    def __init__(self, connection: Connection, pause: Callable[[], Awaitable[None]]) -> None:
        self._connection, self._pause = connection, pause
        self._open = True

    def cut_off(self) -> None:
        """The process is gone: what it has not committed never was."""
        self._open = False

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in one transaction. Raises Closed once it is cut off, also after the commit."""
        await self._pause()
        self._check()
        result = _in_transaction(self._connection, work)
        await self._pause()
        self._check()
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` on the state of this moment."""
        await self._pause()
        self._check()
        # One thread, and nothing is awaited in between: this is a snapshot without being a transaction.
        try:
            return work(self._connection)
        finally:
            if self._connection.in_transaction():
                self._connection.rollback()

    def close(self) -> None:
        """As `cut_off`: the database itself stays."""
        self._open = False

    def _check(self) -> None:
        if not self._open:
            raise Closed


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")


def _on_begin(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        driver.execute("BEGIN")


def _in_transaction(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Begun and ended at the driver; the library joins when a statement of its own runs in it."""
    driver: Any = connection.connection.driver_connection
    driver.execute("BEGIN")
    try:
        result = work(connection)
    except BaseException:
        driver.rollback()
        if connection.in_transaction():
            connection.rollback()
        raise
    if connection.in_transaction():
        connection.commit()
    else:
        driver.commit()
    return result
