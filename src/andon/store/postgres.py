"""PostgreSQL: several control planes on one database, each with a writer thread and readers.

Writers of all replicas are one after the other, as on SQLite, behind an advisory lock that ends
with its transaction (ADR 7): what a transaction reads stands until it is written, in one query text
for both databases. A replica that is paused inside a transaction loses its session, and with it the
lock, after `IDLE_LIMIT_S`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from andon.runtime.errors import Refused
from andon.store.announcements import announce, start_collecting
from andon.store.database import Closed
from andon.store.driver import driver_of, without_values
from andon.store.group_commit import GroupCommit
from andon.store.link import LINK, Links
from andon.store.usable import ServerAway, check_usable

T = TypeVar("T")

WRITERS_LOCK = 0x616E646F6E
"""The advisory lock of the writers: "andon" in ASCII. One fleet has one database."""
IDLE_LIMIT_S = 5
"""A transaction whose owner does nothing for so long is ended by the server."""
LOCK_LIMIT_S = 10
"""How long a writer waits for the others."""
READERS = 4

STOP_S = 2
"""How long `close` lets transactions come to their end; then connections are cut. One that is being made
just then takes up to `connect_timeout` longer."""

_BEGIN_WRITING = (
    f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = '{IDLE_LIMIT_S}s'; "
    f"SET LOCAL lock_timeout = '{LOCK_LIMIT_S}s'; SELECT pg_advisory_xact_lock({WRITERS_LOCK})"
)
# Our statements are few and each has one good plan. Compiling one (jit) pays for statements that run for
# seconds; the server decides by an estimate, which for the reads of a round is far too high.
_SETTINGS = "SET plan_cache_mode = force_generic_plan; SET jit = off"
# The writer's plans may be made while tables are empty, and stay: each condition of his has an index.
# And only a plain index scan clears the entries of rows that are gone (live claims come and go). ADR 4
# has what each of these is worth.
_WRITER_SETTINGS = f"{_SETTINGS}; SET enable_seqscan = off; SET enable_bitmapscan = off"
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def server_address(url: str) -> str:
    """The address without its password, for people. Raises Refused when it is no address."""
    # Without its query: a password can stand there too.
    return _parsed(url).set(drivername="postgresql", query={}).render_as_string(hide_password=True)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise Refused("[server] database is no address. Write postgresql://USER@HOST/DATABASE.") from None
    if not parsed.database:
        raise Refused(f"{parsed}: no database is named. Write postgresql://USER@HOST/DATABASE.")
    return parsed.set(drivername="postgresql+psycopg")


def postgres_engine(
    url: str, *, begin: str = _BEGIN_WRITING, connections: int = 2, links: Links | None = None
) -> Engine:
    """An engine whose transactions are begun by us with `begin`; `links` watches its connections."""
    engine = create_engine(
        _parsed(url),
        pool_size=connections,
        max_overflow=2,
        # Errors carry no values: one of them could be a JIT config on its way into a log (R26).
        hide_parameters=True,
        connect_args={**LINK, "application_name": "andon"},
    )
    settings = _WRITER_SETTINGS if begin == _BEGIN_WRITING else _SETTINGS

    def on_connect(connection: Any, _record: object) -> None:
        # The driver would begin transactions by itself, with a round trip of its own.
        connection.autocommit = True
        if begin == _BEGIN_WRITING:
            # It prepares what it sees often, and lets the server forget everything prepared after a rollback:
            # the statements of the hot path too, which it does not know.
            connection.prepare_threshold = None
        # Not as options of the connection: a pooler refuses those, or leaves them out.
        connection.execute(settings)

    def on_begin(connection: Connection) -> None:
        with driver_of(connection) as driver:
            driver.say(begin.encode())

    if links is not None:
        links.watch(engine)
    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    event.listen(engine, "handle_error", _leave_out_values)
    return engine


def _leave_out_values(context: ExceptionContext) -> None:
    """The server's DETAIL quotes the row that it refused; a secret could be in it (R26)."""
    original, raised = context.original_exception, context.sqlalchemy_exception
    if isinstance(original, psycopg.Error):
        whole = str(original)
        without_values(original)
        if raised is not None:
            raised.args = tuple(str(each).replace(whole, str(original)) for each in raised.args)


def reading_engine(url: str, *, links: Links | None = None) -> Engine:
    """An engine whose transactions see one snapshot and cannot write."""
    return postgres_engine(url, begin=_BEGIN_READING, connections=READERS, links=links)


class PostgresDatabase:
    """One replica's side of a shared database.

    `prepare` is run before the writer starts: migrations. `replica` is how this process signs its
    wake-ups. Raises Refused, with one sentence, when the server cannot be used, ServerAway when it is
    not there or goes away meanwhile, and whatever else `prepare` raises.
    """

    def __init__(
        self,
        url: str,
        prepare: Callable[[Engine], object] = lambda engine: None,
        *,
        replica: str = "",
    ) -> None:
        self._links = Links()
        self._engine = postgres_engine(url, links=self._links)
        self._reading = reading_engine(url, links=self._links)
        try:
            check_usable(self._reading, server_address(url))
            prepare(self._engine)
        except BaseException as error:
            self._engine.dispose()
            self._reading.dispose()
            if isinstance(error, OperationalError):
                # The server went away, or another replica migrates for long: both pass.
                raise ServerAway(server_address(url), str(error.orig).strip().partition("\n")[0]) from None
            raise
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._closed = False
        self._writer = GroupCommit(
            self._transaction,
            still_open=_in_transaction,
            before_commit=lambda connection: announce(connection, replica),
        )

    @property
    def commits(self) -> int:
        """How many commits were made."""
        return self._writer.commits

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._writer.write(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with _begun(self._reading) as connection:
                return work(connection)

        if self._closed:
            raise Closed
        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def close(self) -> None:
        """As on every database; a server that stands still is not waited for beyond STOP_S. What was
        not acknowledged by then raises in its caller."""
        if self._closed:
            return
        self._closed = True
        with self._links.cut_after(STOP_S):
            self._writer.close()
            self._readers.shutdown()
        self._engine.dispose()
        self._reading.dispose()

    @contextlib.contextmanager
    def _transaction(self) -> Generator[Connection]:
        with _begun(self._engine) as connection:
            start_collecting(connection)
            yield connection


@contextlib.contextmanager
def _begun(engine: Engine) -> Generator[Connection]:
    """A connection inside a transaction, committed at the end.

    After a restart of the server the pool holds connections that are gone. Nothing was asked in
    this transaction yet, so a second try on a new connection is safe.
    """
    connection = engine.connect()
    try:
        try:
            transaction = connection.begin()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            connection.close()
            connection = engine.connect()
            transaction = connection.begin()
        with transaction:
            yield connection
    finally:
        connection.close()


def _in_transaction(connection: Connection) -> bool:
    if connection.invalidated or connection.closed:
        return False
    driver: Any = connection.connection.driver_connection
    return driver.pgconn.transaction_status == TransactionStatus.INTRANS
