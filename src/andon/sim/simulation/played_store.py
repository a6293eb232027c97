"""The database as one control plane of the simulation has it: shared with others, at times away, watched.

Leases run by the database's own clock, and what one replica wakes the others hear, as on PostgreSQL.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from sqlalchemy import Connection

from andon.runtime.clock import Clock
from andon.runtime.ids import Ids
from andon.store.announcements import EVERYTHING
from andon.store.database import Unavailable
from andon.store.database_clock import DatabaseClock
from andon.store.inline import Door
from andon.store.transaction import Store, Tx

T = TypeVar("T")

Wake = Callable[[Iterable[str]], None]


class Outage:
    """Whether the database answers, for all or for one replica, and how it fails."""

    HANGS_S = 5.0
    """After so long a statement without an answer is given up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.away: set[str] = set()
        """Replicas whose statements are refused."""
        self.hanging: set[str] = set()
        """Replicas whose statements get no answer."""

    async def meet(self, replica: str) -> None:
        """Raises Unavailable where the database is away for this replica."""
        if replica in self.hanging:
            await self._clock.sleep(self.HANGS_S)
            raise Unavailable("The database does not answer: the simulation lets it hang.")
        if replica in self.away:
            raise Unavailable("The database does not answer: the simulation refuses the connection.")


class _Way:
    """A `Database`: the way from one replica to the door."""

    def __init__(self, door: Door, meet: Callable[[], Awaitable[None]]) -> None:
        self._door, self._meet = door, meet

    async def write(self, work: Callable[[Connection], T]) -> T:
        await self._meet()
        return await self._door.write(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        await self._meet()
        return await self._door.read(work)

    def close(self) -> None:
        self._door.close()


class Wakes:
    """What replicas tell each other with each commit."""

    def __init__(self) -> None:
        self._ears: dict[str, asyncio.Queue[tuple[str, ...]]] = {}

    def tell(self, replica: str, names: tuple[str, ...]) -> None:
        """Everybody but `replica` hears."""
        for other, heard in self._ears.items():
            if other != replica:
                heard.put_nowait(names)

    async def hear(self, replica: str, wake: Wake) -> None:
        """As `store.listener.Listener.run`."""
        heard = self._ears[replica] = asyncio.Queue()
        try:
            wake([EVERYTHING])
            while True:
                wake(await heard.get())
        finally:
            if self._ears.get(replica) is heard:
                del self._ears[replica]


class PlayedListener:
    """What `Opened.listen` gives."""

    def __init__(self, wakes: Wakes, replica: str, wake: Wake) -> None:
        self._wakes, self._replica, self._wake = wakes, replica, wake

    async def run(self) -> None:
        """Listens until it is cancelled."""
        await self._wakes.hear(self._replica, self._wake)


class PlayedStore(Store):
    """The real store; `committed` is told of each transaction at its end."""

    def __init__(
        self,
        replica: str,
        door: Door,
        clock: Clock,
        ids: Ids,
        *,
        outage: Outage,
        wakes: Wakes | None,
        lease_clock: Clock,
        committed: Callable[[str, Tx], None],
    ) -> None:
        dated_by = clock if wakes is None else DatabaseClock(clock)
        super().__init__(_Way(door, lambda: outage.meet(replica)), dated_by, ids, lease_clock=lease_clock)
        self._replica, self._wakes, self._committed = replica, wakes, committed

    def on_nudges(self, wake: Wake) -> None:
        """Wakes this replica, and tells the others."""

        def both(names: Iterable[str]) -> None:
            told = tuple(names)
            if self._wakes is not None:
                self._wakes.tell(self._replica, told)
            wake(told)

        super().on_nudges(both)

    async def write(self, work: Callable[[Tx], T]) -> T:
        """As the real one."""

        def watched(tx: Tx) -> T:
            result = work(tx)
            self._committed(self._replica, tx)
            return result

        return await super().write(watched)
