"""Hears what other control planes on the same PostgreSQL woke, on one direct connection.

Notifications come at once; behind them the table is read each second, so that a lost one costs a
second and never more (interfaces.md section 5).
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta

import psycopg

from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.store.announcements import CHANNEL, EVERYTHING, NEWER, NEWEST, told
from andon.store.postgres import LINK

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

    async def run(self) -> None:
        """Listens until it is cancelled; a lost connection is made again."""
        lost = False
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, application_name="andon listener", **LINK
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    if lost:
                        self._log.info("listener.connected")
                    lost = False
                    row = await (await connection.execute(NEWEST)).fetchone()
                    self.listening.set()
                    # Whatever was told before we listened; what is told from here on is heard.
                    self._wake([EVERYTHING])
                    await self._hear(connection, int(row[0]) if row else 0)
            except Exception as error:
                # Whatever it is: without a listener this replica would only be slow, and nobody would know.
                self.listening.clear()
                if not lost:
                    self._log.warning("listener.lost", error=str(error).strip())
                lost = True
                await self._clock.sleep(POLL.total_seconds())

    async def _hear(self, connection: psycopg.AsyncConnection, seen: int) -> None:
        while True:
            async for notification in connection.notifies(timeout=POLL.total_seconds(), stop_after=1):
                replica, names = told(notification.payload)
                if replica != self._replica:
                    self._wake(names)
            # A server that stands still answers no keepalive question of ours, as its kernel does that.
            async with asyncio.timeout(ANSWER.total_seconds()):
                rows = await (await connection.execute(NEWER, (seen,))).fetchall()
            seen = max([seen, *(int(version) for _, version, _ in rows)])
            missed = [str(name) for name, _, replica in rows if replica != self._replica]
            if missed:
                self._wake(missed)
