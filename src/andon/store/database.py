"""Where transactions run. Callers hand in a function; the store runs it in one transaction.

`SqliteDatabase` has one writer thread: what waits when it is free is written together and made
durable by one commit (group commit, design.md section 7). Readers have connections of their own
and never wait for the writer.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from andon.runtime.errors import AndonError, Refused

T = TypeVar("T")

MAX_GROUP = 256
"""Most transactions that share one commit: bounds how long the first of them waits."""


class Database(Protocol):
    """What the rooms above see of a database."""

    def write(self, work: Callable[[Connection], T]) -> Coroutine[Any, Any, T]:
        """Runs `work` in one transaction; returns once it is durable. Its exception undoes it alone."""
        ...

    def read(self, work: Callable[[Connection], T]) -> Coroutine[Any, Any, T]:
        """Runs `work` on one consistent snapshot."""
        ...

    def close(self) -> None:
        """Finishes what was begun and closes the connections."""
        ...


class Closed(AndonError):
    """The database is closed."""


class _Work:
    """One waiting transaction."""

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.done: Future[Any] = Future()


def sqlite_engine(path: Path, *, readers: int = 4) -> Engine:
    """An engine for the file `path`: WAL, durable commits, transactions begun by us.

    Python's own driver would begin transactions by itself and too late, and forget savepoints; so
    its automatic is switched off and SQLAlchemy's begin event begins them.
    """
    _make_private(path)
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=readers,
        max_overflow=2,
        # Errors carry no values: one of them could be a JIT config on its way into a log (R26).
        hide_parameters=True,
    )

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            # Every commit reaches the disk: with NORMAL a power cut could hand out a JIT config twice.
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=10000",
            "cache_size=-16000",
            # A JIT config that was deleted is overwritten, not left in a free page.
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


def _make_private(path: Path) -> None:
    """Creates the file for its owner alone: it holds JIT configs that no slot user may read (R26).

    SQLite gives its companion files the same mode.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def hold_database_lock(path: Path) -> int:
    """Takes the lock that makes this process the only one on the SQLite file; keeps it while open.

    Raises Refused when another process has it. Returns the file descriptor to hold.
    """
    lock_path = path.with_name(path.name + ".lock")
    handle = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise Refused(
            f"{path}: another control plane (pid {holder}) uses this database. Stop it first, or use another --data."
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


class RolledBack(AndonError):
    """The database undid a whole group of transactions because one of them failed."""


def _check_still_open(connection: Connection, error: Exception) -> None:
    """Raises RolledBack when SQLite ended the transaction by itself.

    A full disk, an I/O error or a lack of memory undoes everything since BEGIN, not only the
    savepoint; whoever went before in the group must then not be told that he was written.
    """
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        raise RolledBack(f"The transactions of a group were undone together: {error}") from error


class SqliteDatabase:
    """SQLite in one file: one writer thread with group commit, and a few readers.

    `prepare` is run behind the lock and before the writer starts: migrations. Raises Refused when
    another process uses the file, and whatever `prepare` raises.
    """

    def __init__(self, path: Path, prepare: Callable[[Engine], object] = lambda engine: None) -> None:
        self._lock = hold_database_lock(path)
        self._engine = sqlite_engine(path)
        try:
            prepare(self._engine)
        except BaseException:
            self._engine.dispose()
            os.close(self._lock)
            raise
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="store-read")
        self._closed = False
        self.commits = 0
        """How many commits were made: the tests of group commit count them."""
        self._writer = threading.Thread(target=self._write_until_closed, name="store-write", daemon=True)
        self._writer.start()

    async def write(self, work: Callable[[Connection], T]) -> T:
        if self._closed:
            raise Closed
        item = _Work(work)
        self._queue.put(item)
        return await asyncio.wrap_future(item.done)

    async def read(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self._engine.connect() as connection, connection.begin():
                return work(connection)

        if self._closed:
            raise Closed
        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._writer.join()
        self._readers.shutdown()
        self._engine.dispose()
        os.close(self._lock)

    def _write_until_closed(self) -> None:
        with self._engine.connect() as connection:
            while (first := self._queue.get()) is not None:
                group = [first]
                last = False
                while len(group) < MAX_GROUP:
                    try:
                        item = self._queue.get_nowait()
                    except queue.Empty:
                        break
                    if item is None:
                        last = True
                        break
                    group.append(item)
                self._commit_together(connection, group)
                if last:
                    return

    def _commit_together(self, connection: Connection, group: list[_Work]) -> None:
        """Runs each transaction in a savepoint of its own, then makes all of them durable at once."""
        finished: list[tuple[_Work, Any]] = []
        wanted = [item for item in group if item.done.set_running_or_notify_cancel()]
        try:
            with connection.begin():
                if len(wanted) == 1:
                    # Alone it needs no savepoint: its failure undoes the whole transaction.
                    finished.append((wanted[0], wanted[0].work(connection)))
                else:
                    for item in wanted:
                        try:
                            with connection.begin_nested():
                                finished.append((item, item.work(connection)))
                        except Exception as error:
                            item.done.set_exception(error)
                            _check_still_open(connection, error)
            self.commits += 1
        except Exception as error:
            # Nobody of this group may believe that anything was kept.
            for item in wanted:
                if not item.done.done():
                    item.done.set_exception(error)
            return
        for item, result in finished:
            item.done.set_result(result)
