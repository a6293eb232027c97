"""Hears what other control planes on the same PostgreSQL woke, on one direct connection.

Notifications come at once; behind them the table is read each second, so that a lost one costs a
second and never more (interfaces.md section 5).
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, LiteralString

import psycopg

from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.store.announcements import CHANNEL, EVERYTHING, NEWER, NEWEST, told
from andon.store.link import LINK, cut

POLL = timedelta(seconds=1)
ANSWER = timedelta(seconds=5)
"""How long the server may take to answer the poll."""


class Listener:
    """`wake` gets the names that another replica woke; `*` after a time without a connection."""

    def __init__(
        self, url: str, *, replica: str, wake: Callable[[Iterable[str]], None], clock: Clock, log: Logger
    ) -> None:
        self._url, self._replica, self._wake = url, replica, wake
        self._clock, self._log = clock, log
        self.listening = asyncio.Event()
        """Set while notifications are heard."""
        self._lost = False

    async def run(self) -> None:
        """Listens until it is cancelled; a lost connection is made again."""
        while True:
            try:
                await self._listen()
            except Exception as error:
                # Whatever it is: without a listener this replica would only be slow, and nobody would know.
                self.listening.clear()
                if not self._lost:
                    self._log.warning("listener.lost", error=str(error).strip())
                self._lost = True
                await self._clock.sleep(POLL.total_seconds())

    async def _listen(self) -> None:
        """On one connection, until it is lost."""
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, application_name="andon listener", **LINK
        )
        hearing = asyncio.create_task(self._hear(connection), name="listener's connection")
        try:
            await asyncio.shield(hearing)
        finally:
            # Not cancelled: the driver would ask the server to cancel, and wait for its answer.
            cut(connection)
            await asyncio.gather(hearing, return_exceptions=True)
            await connection.close()

    async def _hear(self, connection: psycopg.AsyncConnection) -> None:
        await _answered(connection, f"LISTEN {CHANNEL}")
        if self._lost:
            self._log.info("listener.connected")
        self._lost = False
        row = await (await _answered(connection, NEWEST)).fetchone()
        seen = int(row[0]) if row else 0
        self.listening.set()
        # Whatever was told before we listened; what is told from here on is heard.
        self._wake([EVERYTHING])
        while True:
            async for notification in connection.notifies(timeout=POLL.total_seconds(), stop_after=1):
                replica, names = told(notification.payload)
                if replica != self._replica:
                    self._wake(names)
            rows = await (await _answered(connection, NEWER, seen)).fetchall()
            seen = max([seen, *(int(version) for _, version, _ in rows)])
            missed = [str(name) for name, _, replica in rows if replica != self._replica]
            if missed:
                self._wake(missed)


async def _answered(
    connection: psycopg.AsyncConnection, asked: LiteralString, *values: int
) -> psycopg.AsyncCursor[tuple[Any, ...]]:
    """Asks; a server that does not answer in time loses the connection.

    Its kernel answers keepalives for it, so nothing else would notice that it stands still.
    """
    deadline = asyncio.get_running_loop().call_later(ANSWER.total_seconds(), cut, connection)
    try:
        return await connection.execute(asked, values)
    finally:
        deadline.cancel()
