"""One transaction as queries see it: the connection, one moment for all of it, its journal lines,
its outbox rows, and whom to wake once it is durable."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError

from andon.model.journal import Entry
from andon.runtime.clock import Clock
from andon.runtime.ids import Ids
from andon.store.announcements import note
from andon.store.answering import Answering, Away
from andon.store.bulk import insert_new
from andon.store.database import Closed, Database, Unavailable
from andon.store.database_clock import DatabaseClock
from andon.store.schema import journal, outbox

T = TypeVar("T")

_AWAY = (OperationalError, InternalError, InterfaceError)
"""What the driver says of a server that is away, that took our session, or that may not be written."""


class Tx:
    """A writing transaction. Lines and acts are collected, and written together at its end."""

    def __init__(
        self,
        connection: Connection,
        now: datetime,
        ids: Ids,
        *,
        database_time: bool = False,
        lease_clock: Clock | None = None,
        heard: Callable[[datetime], None] = lambda at: None,
    ) -> None:
        """`heard` is told what the database says the time is, whenever it is asked."""
        self.connection = connection
        self.now = now
        self.ids = ids
        self._database_time, self._lease_clock = database_time, lease_clock
        self._heard = heard
        self.nudges: set[str] = set()
        """Names of loops that have something to do now; `host:NAME` wakes that host's held sync."""
        self._lines: list[dict[str, Any]] = []
        self._acts: list[dict[str, Any]] = []

    def lease_time(self) -> datetime:
        """The moment by which leases run out: the database's, where several machines share it."""
        if not self._database_time:
            at = self.now if self._lease_clock is None else self._lease_clock.now()
        else:
            at = _of_database(self.connection)
        self._heard(at)
        return at

    def time_to_write(self) -> datetime | None:
        """The same moment for `columns.or_database_time`: None where the database puts it in by itself, so that
        nobody has to ask for it first."""
        return None if self._database_time else self.lease_time()

    def record(self, *entries: Entry) -> tuple[str, ...]:
        """Journals, in the transaction that did what the lines say (R16); gives the lines' ids."""
        made = tuple(self.ids.many("jrn", len(entries)))
        for line, entry in zip(made, entries, strict=True):
            self._lines.append(
                {
                    "id": line,
                    "at": self.now,
                    "actor": entry.actor,
                    "kind": entry.kind,
                    "subject_kind": entry.subject_kind,
                    "subject_id": entry.subject_id,
                    "generation": entry.generation,
                    "from_state": entry.from_state,
                    "to_state": entry.to_state,
                    "reason": entry.reason,
                    "mode": entry.mode,
                    "evidence": entry.evidence,
                    "job_id": entry.job_id,
                    "host": entry.host,
                }
            )
        return made

    def order(
        self,
        kind: str,
        *,
        key: str,
        subject: str,
        generation: int | None = None,
        payload: dict[str, Any] | None = None,
        delay: timedelta = timedelta(0),
    ) -> None:
        """Adds an outbox row in the transaction that decided it. The same `key` twice is one act."""
        self._acts.append(
            {
                "id": self.ids.new("act"),
                "kind": kind,
                "idempotency_key": key,
                "subject": subject,
                "generation": generation,
                "payload": payload or {},
                "state": "pending",
                "attempts": 0,
                "not_before": self.now + delay,
                "created_at": self.now,
            }
        )
        self.nudges.add("outbox")

    @property
    def lines(self) -> Sequence[Mapping[str, Any]]:
        """What it journals, so far, as rows: the simulator holds each against what may be."""
        return self._lines

    def finish(self) -> None:
        """Writes what was collected; called last, inside the transaction."""
        if self._lines:
            insert_new(self.connection, journal, self._lines)
        if self._acts:
            insert_new(self.connection, outbox, self._acts)
        if self.nudges:
            note(self.connection, self.nudges)


def _of_database(connection: Connection) -> datetime:
    at: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return at.astimezone(UTC)


class Store:
    """The store as the rooms above use it: work in, durable result out, then the wake-ups."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        *,
        database_time: bool = False,
        lease_clock: Clock | None = None,
    ) -> None:
        """`database_time`: leases run by the database's own clock; `lease_clock` plays that clock where the
        database has none. `clock` is a `DatabaseClock` where others share the database."""
        self.database = database
        self.clock = clock
        """By which everything here is dated, and has to be judged."""
        self._ids = ids
        self._database_time, self._lease_clock = database_time, lease_clock
        self._wake: Callable[[Iterable[str]], None] = lambda names: None
        self._journalled: Callable[[Sequence[Mapping[str, Any]]], None] = lambda lines: None
        self._writes, self._reads = Answering(clock), Answering(clock)

    def away(self) -> Away | None:
        """Whether the database is away for writers or for readers, since when, and what it said."""
        return self._writes.away() or self._reads.away()

    @property
    def stands_still(self) -> bool:
        """Whether a read that is asked now would only wait with others that got no answer."""
        return self._reads.stands_still

    def on_nudges(self, wake: Callable[[Iterable[str]], None]) -> None:
        """Who is told, after each commit, which loops and hosts have something to do."""
        self._wake = wake

    def on_lines(self, journalled: Callable[[Sequence[Mapping[str, Any]]], None]) -> None:
        """Who is told, after each commit that journalled something, what it was: rows as `Tx.lines` has them."""
        self._journalled = journalled

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Runs `work` in one transaction; returns once it is durable. Its exception undoes it.

        Raises Unavailable when the database does not answer or cannot write.
        """
        nudges: set[str] = set()
        lines: Sequence[Mapping[str, Any]] = ()

        def run(connection: Connection) -> T:
            nonlocal lines
            self._ask_the_time(connection)
            tx = Tx(
                connection,
                self.clock.now(),
                self._ids,
                database_time=self._database_time,
                lease_clock=self._lease_clock,
                heard=self._hear,
            )
            result = work(tx)
            tx.finish()
            nudges.update(tx.nudges)
            lines = tx.lines
            return result

        result = await _watched(self._writes, self.database.write(run))
        if lines:
            self._journalled(lines)
        if nudges:
            # In one order on every machine: the simulator repeats what it once saw.
            self._wake(sorted(nudges))
        return result

    def lease_time(self, connection: Connection) -> datetime:
        """`Tx.lease_time` for who only reads."""
        if self._database_time:
            return _of_database(connection)
        return (self._lease_clock or self.clock).now()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` on one consistent snapshot. Raises Unavailable as `write` does."""

        def run(connection: Connection) -> T:
            self._ask_the_time(connection)
            return work(connection)

        return await _watched(self._reads, self.database.read(run))

    def _ask_the_time(self, connection: Connection) -> None:
        """Asks the database where our own clock cannot tell what passed since it was asked last."""
        if isinstance(self.clock, DatabaseClock) and self.clock.doubtful:
            self.clock.hear(self.lease_time(connection))

    def _hear(self, at: datetime) -> None:
        if isinstance(self.clock, DatabaseClock):
            self.clock.hear(at)

    def close(self) -> None:
        """Closes the database."""
        self.database.close()


async def _watched(answering: Answering, transaction: Awaitable[T]) -> T:
    """The transaction's result; how it ended is kept. Raises Unavailable when the database was why."""
    number, failure = answering.asked(), None
    try:
        return await transaction
    except asyncio.CancelledError:
        answering.forgotten(number)
        raise
    except _AWAY as error:
        failure = _said(error)
        raise Unavailable(f"The database does not answer or cannot write: {failure}") from error
    except Unavailable as error:
        failure = str(error)
        raise
    except Closed:
        answering.forgotten(number)
        raise
    finally:
        answering.ended(number, failure)


def _said(error: DBAPIError) -> str:
    """The first line of what the database said, without statement and values."""
    said = str(error.orig).strip().splitlines()
    return said[0] if said else "no reason given"
