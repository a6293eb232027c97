"""SQLite in one file: one writer thread with group commit, and readers that never wait for it."""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from andon.runtime.errors import Refused
from andon.store.database import Closed
from andon.store.group_commit import GroupCommit

T = TypeVar("T")


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

    Raises Refused when another process has it, or when the lock's file is not ours to write. Returns
    the file descriptor to hold.
    """
    lock_path = path.with_name(path.name + ".lock")
    try:
        handle = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise Refused(
            f"{lock_path}: the database's lock cannot be written ({error.strerror}). Give the file and its folder to "
            "the user that the control plane runs as."
        ) from None
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


class SqliteDatabase:
    """The database of one machine, and of one process on it.

    `prepare` is run behind the lock and before the writer starts: migrations. Raises Refused when
    another process uses the file, and whatever `prepare` raises.
    """

    def __init__(self, path: Path, prepare: Callable[[Engine], object] = lambda engine: None) -> None:
        self._lock = hold_database_lock(path)
        self._engine = sqlite_engine(path)
        try:
            prepare(self._engine)
            self._connection = self._engine.connect()
        except BaseException:
            self._engine.dispose()
            os.close(self._lock)
            raise
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="store-read")
        self._closed = False
        self._writer = GroupCommit(self._transaction, still_open=_in_transaction)

    @property
    def commits(self) -> int:
        """How many commits were made."""
        return self._writer.commits

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._writer.write(work)

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
        self._writer.close()
        self._readers.shutdown()
        self._connection.close()
        self._engine.dispose()
        os.close(self._lock)

    @contextlib.contextmanager
    def _transaction(self) -> Generator[Connection]:
        with self._connection.begin():
            yield self._connection


def _in_transaction(connection: Connection) -> bool:
    driver: Any = connection.connection.driver_connection
    return bool(driver.in_transaction)
