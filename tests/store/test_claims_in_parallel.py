"""Under 50 parallel claimers a job has at most one live claim and a slot at most one runner (R17)."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

from sqlalchemy import text

from andon.runtime.ids import SortableIds
from andon.sim.virtual_time import VirtualClock
from andon.store import claims
from andon.store.transaction import Store, Tx
from tests.support.builders import a_claim
from tests.support.databases import Place

CLAIMERS = 50


def wishes(rng: Random, claimer: int) -> list[dict[str, object]]:
    return [
        {
            "id": f"clm_{claimer}_{n}",
            "job_id": rng.randrange(20),
            "slot": rng.randrange(10),
            "runner_name": f"r{claimer}-{n}",
        }
        for n in range(20)
    ]


def assert_nothing_doubled(place: Place) -> None:
    engine = place.engine()
    with engine.connect() as connection:
        live = connection.execute(text("SELECT job_id, host, slot FROM claims WHERE state = 'reserved'")).all()
    engine.dispose()
    assert live
    assert max(Counter(row.job_id for row in live).values()) == 1
    assert max(Counter((row.host, row.slot) for row in live).values()) == 1


def test_claimers_in_one_process(store: Store, place: Place, count: Callable[[int], int]) -> None:
    async def claimer(number: int) -> None:
        for wish in wishes(Random(number), number):
            await store.write(lambda tx, wish=wish: claims.reserve(tx, [a_claim(**wish)]))

    async def main() -> None:
        await asyncio.gather(*(claimer(number) for number in range(CLAIMERS)))

    for _ in range(count(10)):
        asyncio.run(main())
        assert_nothing_doubled(place)
        asyncio.run(store.write(lambda tx: tx.connection.execute(text("DELETE FROM claims"))))


def test_claimers_that_should_not_be_there_at_all(store: Store, place: Place) -> None:
    """Two leaders by mistake: fifty connections of their own, behind the writer's back and lock."""
    engine = place.engine(CLAIMERS)
    clock = VirtualClock()

    def claimer(number: int) -> None:
        for wish in wishes(Random(number), number)[:5]:
            with engine.connect() as connection:
                if place.kind == "sqlite":
                    connection.exec_driver_sql("PRAGMA busy_timeout=60000")
                    connection.rollback()
                with connection.begin():
                    tx = Tx(connection, clock.now(), SortableIds(clock, Random(number)))
                    claims.reserve(tx, [a_claim(**wish)])

    with ThreadPoolExecutor(CLAIMERS) as threads:
        list(threads.map(claimer, range(CLAIMERS)))
    engine.dispose()
    assert_nothing_doubled(place)
