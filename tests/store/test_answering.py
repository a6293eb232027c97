"""Whether the database answers is judged by what is asked of it anyway."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from andon.sim.virtual_time import VirtualClock
from andon.store.answering import STANDS_STILL_S
from andon.store.database import Unavailable
from andon.store.transaction import Store

DATABASES = ("sqlite",)


class Scripted:
    """A database whose next answers a test decides."""

    def __init__(self) -> None:
        self.next: Any = None
        self.hold: asyncio.Event | None = None

    async def write(self, work: Any) -> Any:
        return await self.read(work)

    async def read(self, work: Any) -> Any:
        if self.hold is not None:
            await self.hold.wait()
        if self.next is not None:
            raise self.next
        return None

    def close(self) -> None: ...


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


def a_store(scripted: Any, clock: VirtualClock) -> Store:
    return Store(scripted, clock, None)  # pyright: ignore[reportArgumentType]


def test_away_from_the_first_failure_until_the_next_answer(scripted: Scripted, clock: VirtualClock) -> None:
    store, began = a_store(scripted, clock), clock.now()

    async def story() -> None:
        assert store.away() is None
        scripted.next = OperationalError("SELECT", {}, Exception("connection refused"))
        for _ in range(3):
            with pytest.raises(Unavailable):
                await store.read(lambda connection: None)
            clock.advance(10)
        away = store.away()
        assert away is not None and away.since == began
        assert away.said is not None and "connection refused" in away.said
        scripted.next = None
        await store.read(lambda connection: None)
        assert store.away() is None

    asyncio.run(story())


def test_a_refused_statement_is_an_answer(scripted: Scripted, clock: VirtualClock) -> None:
    store = a_store(scripted, clock)

    async def story() -> None:
        scripted.next = IntegrityError("INSERT", {}, Exception("twice"))
        with pytest.raises(IntegrityError):
            await store.read(lambda connection: None)
        assert store.away() is None

    asyncio.run(story())


def test_one_that_stands_still_is_away_and_one_long_transaction_is_not(scripted: Scripted, clock: VirtualClock) -> None:
    store = a_store(scripted, clock)

    async def story() -> None:
        scripted.hold = asyncio.Event()
        waiting = asyncio.create_task(store.read(lambda connection: None))
        await asyncio.sleep(0)
        clock.advance(STANDS_STILL_S - 1)
        assert store.away() is None
        held, scripted.hold = scripted.hold, None
        await store.read(lambda connection: None)
        clock.advance(STANDS_STILL_S)
        assert not store.stands_still, "others were answered meanwhile"
        clock.advance(1)
        away = store.away()
        assert store.stands_still and away is not None and away.said is None
        held.set()
        await waiting
        assert store.away() is None

    asyncio.run(story())
