"""Takes deliveries in: into the database where it answers in time, else into the spool (R1).

Whoever awaited `keep` may acknowledge: the delivery is durable in one of the two. What comes while
a transaction is being written shares the next one: a statement costs more than a row.
"""

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import DataError, IntegrityError

from andon.runtime.logging import Logger
from andon.store.deliveries import Received, keep_all
from andon.store.spool import Spool, record
from andon.store.transaction import Store

PATIENCE_S = 0.4
"""How long the database may take before the spool is used: the answer must be there in a second."""
MOST = 100
"""Deliveries in one transaction."""
MOST_BYTES = 16 * 1024**2
"""And the bytes of their bodies, beyond the first: a statement has a size that it may not pass."""
BURST = 8
"""So many that wait behind the transaction under way are a burst."""


_FAULTS_OF_THE_DELIVERY = (DataError, IntegrityError, ValueError)
"""What the database says of values that it cannot take; anything else says that it is away."""


_Answer = asyncio.Future[bool | None]
"""Whether the delivery was new; None: not known in time."""


_W = TypeVar("_W")


class Kept(StrEnum):
    """Where a delivery went."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    SPOOLED = "spooled"


class Intake:
    """The way in for deliveries."""

    def __init__(self, store: Store, spool: Spool, log: Logger, patience_s: float = PATIENCE_S) -> None:
        self._store, self._spool, self._log, self._patience_s = store, spool, log, patience_s
        self._spooled: Callable[[], None] = lambda: None
        self._away = spool.waiting
        """The database failed last, and has not answered since: it is not asked by each delivery."""
        self._next: list[tuple[Received, _Answer]] = []
        self._writing: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[list[bool]]] = set()
        """Transactions being written, some of which nobody waits for any more."""

    def on_spooled(self, wake: Callable[[], None]) -> None:
        """Who is told of each delivery that went to the disk, and is to hand it over."""
        self._spooled = wake

    @property
    def spooling(self) -> bool:
        """Whether deliveries wait on disk for the database."""
        return self._spool.waiting

    def look_around(self) -> None:
        """Looks for what a process left on the disk that is gone."""
        self._spool.look_around()

    @property
    def burst(self) -> bool:
        """Whether deliveries come in faster than one transaction after the other takes them."""
        return len(self._next) >= BURST

    async def keep(self, received: Received) -> Kept:
        """Returns once the delivery is durable. Raises OSError or SpoolFull when it is nowhere."""
        # With nothing on the disk, nobody would find out that the database is there again.
        if not self._away or not self._spool.waiting:
            try:
                new = await self._store_in_time(received)
            except Exception as error:
                self._turn_away(f"the database failed: {_short(error)}")
            else:
                if new is not None:
                    return Kept.STORED if new else Kept.DUPLICATE
                self._turn_away(f"the database took longer than {self._patience_s:g} s")
        await self._spool.keep(received)
        self._spooled()
        return Kept.SPOOLED

    def _turn_away(self, reason: str) -> None:
        if not self._away:
            self._log.warning("spool.used", reason=reason)
        self._away = True

    async def drain(self) -> int:
        """Hands what is spooled to the database; says how many were new. Raises what the store raises."""
        new = 0
        seen: set[Path] = set()
        while True:
            async with self._spool.oldest(seen) as segment:
                if segment is None:
                    return new
                seen.add(segment.path)
                found = await asyncio.to_thread(segment.read)
                waiting = found.deliveries
                while waiting:
                    batch, waiting = _cut(waiting, lambda each: each)
                    new += await self._hand_over(batch)
                    # It answers: what comes now goes straight to it, while the rest is handed over.
                    self._away = False
                for spoilt in (*found.refused, *([found.rest] if found.rest else [])):
                    await self._spool.put_aside(spoilt)
                    self._log.error("spool.damaged", segment=segment.path.name, bytes=len(spoilt))
                await asyncio.to_thread(segment.remove)

    async def _store_in_time(self, received: Received) -> bool | None:
        """Whether the delivery was new; None when the database takes too long."""
        stored: _Answer = asyncio.get_running_loop().create_future()
        self._next.append((received, stored))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="intake")
        return await stored

    async def _write(self) -> None:
        """Writes what has come, a transaction after the other; one timer serves all that share it."""
        try:
            while self._next:
                batch, self._next = _cut(self._next, lambda each: each[0])
                writing = self._begin([received for received, _ in batch])
                await asyncio.wait({writing}, timeout=self._patience_s)
                if not writing.done():
                    # It may still be written; the same GUID out of the spool is then a duplicate.
                    late, self._next = [*batch, *self._next], []
                    _settle(late, lambda stored, _: stored.set_result(None))
                elif (error := writing.exception()) is not None:
                    _settle(batch, lambda stored, _, error=error: stored.set_exception(error))
                else:
                    results = writing.result()
                    _settle(batch, lambda stored, at, results=results: stored.set_result(results[at]))
        finally:
            self._writing = None

    def _begin(self, batch: Sequence[Received]) -> asyncio.Task[list[bool]]:
        writing = asyncio.create_task(self._keep(batch), name="intake batch")
        self._under_way.add(writing)
        writing.add_done_callback(self._ended)
        return writing

    def _ended(self, writing: asyncio.Task[list[bool]]) -> None:
        self._under_way.discard(writing)
        if not writing.cancelled():
            # Looked at, so that nobody complains of one that came late; the spool has what it was about.
            writing.exception()

    async def _keep(self, batch: Sequence[Received]) -> list[bool]:
        return await self._store.write(lambda tx: keep_all(tx, batch))

    async def _hand_over(self, batch: Sequence[Received]) -> int:
        """Stores a batch out of the spool; one that the database refuses holds up no other."""
        try:
            return sum(await self._keep(batch))
        except _FAULTS_OF_THE_DELIVERY:
            pass
        new = 0
        for each in batch:
            try:
                new += sum(await self._keep([each]))
            except _FAULTS_OF_THE_DELIVERY as error:
                await self._spool.put_aside(record(each))
                self._log.error("delivery.put_aside", guid=each.guid, reason=_short(error))
        return new


def _cut(waiting: list[_W], delivery: Callable[[_W], Received]) -> tuple[list[_W], list[_W]]:
    """Takes a transaction's worth from the front: so many at most, and so many bytes, but one at least."""
    size = at = 0
    for each in waiting[:MOST]:
        size += len(delivery(each).body)
        if at and size > MOST_BYTES:
            break
        at += 1
    return waiting[:at], waiting[at:]


def _settle(batch: Sequence[tuple[Received, _Answer]], settle: Callable[[_Answer, int], None]) -> None:
    """Answers those that still wait: whoever sent one may have gone meanwhile."""
    for at, (_, stored) in enumerate(batch):
        if not stored.done():
            settle(stored, at)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
