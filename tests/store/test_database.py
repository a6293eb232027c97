"""What both databases promise: group commit, isolation of one transaction from its neighbours,
durable answers, snapshots, and errors without values."""

import asyncio
import traceback

import pytest
from sqlalchemy import Connection, text

from andon.store.database import Closed
from andon.store.postgres import PostgresDatabase
from andon.store.sqlite import SqliteDatabase
from tests.support.databases import Place

Either = SqliteDatabase | PostgresDatabase


def add(name: str, *, fail: bool = False):
    def work(connection: Connection) -> str:
        connection.execute(text("INSERT INTO meta (name, value) VALUES (:name, 'x')"), {"name": name})
        if fail:
            raise ValueError(name)
        return name

    return work


def names(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT name FROM meta ORDER BY name")).scalars())


def test_what_waits_together_is_committed_together(database: Either) -> None:
    async def main() -> None:
        assert await asyncio.gather(*(database.write(add(f"n{i:03}")) for i in range(200))) == [
            f"n{i:03}" for i in range(200)
        ]

    asyncio.run(main())
    assert database.commits < 100


def test_a_failing_transaction_undoes_itself_alone(database: Either) -> None:
    async def main() -> list[str]:
        results = await asyncio.gather(
            database.write(add("a")),
            database.write(add("b", fail=True)),
            database.write(add("c")),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [str, ValueError, str]
        return await database.read(names)

    assert asyncio.run(main()) == ["a", "c"]


def test_a_result_is_only_given_once_it_is_there_for_all(database: Either, place: Place) -> None:
    """Another connection, of another process as it were, sees what an awaited write gave."""
    asyncio.run(database.write(add("seen")))
    other = place.engine()
    with other.connect() as connection:
        assert names(connection) == ["seen"]
    other.dispose()


def test_a_reader_sees_one_snapshot_and_no_half_of_a_transaction(database: Either) -> None:
    async def main() -> None:
        await database.write(add("a"))
        begun, written = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def look_twice(connection: Connection) -> tuple[list[str], list[str]]:
            before = names(connection)
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(written.wait(), loop).result()
            return before, names(connection)

        reading = asyncio.create_task(database.read(look_twice))
        await begun.wait()
        await database.write(add("b"))
        written.set()
        assert await reading == (["a"], ["a"])
        assert await database.read(names) == ["a", "b"]

    asyncio.run(main())


def test_a_reader_cannot_write(database: Either) -> None:
    if isinstance(database, SqliteDatabase):
        # SQLite's readers could; that they do not is a matter of our own code only.
        return
    with pytest.raises(Exception, match="read-only"):
        asyncio.run(database.read(add("x")))


def test_a_cancelled_write_harms_nobody(database: Either) -> None:
    async def main() -> list[str]:
        waiting = [asyncio.create_task(database.write(add(f"n{number}"))) for number in range(20)]
        await asyncio.sleep(0)
        for task in waiting[::2]:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return await database.read(names)

    assert set(asyncio.run(main())) >= {f"n{number}" for number in range(1, 20, 2)}


def test_what_waits_at_the_close_is_still_written(database: Either, place: Place) -> None:
    async def main() -> None:
        waiting = [asyncio.create_task(database.write(add(f"n{number}"))) for number in range(10)]
        await asyncio.sleep(0)
        await asyncio.to_thread(database.close)
        await asyncio.gather(*waiting)
        with pytest.raises(Closed):
            await database.write(add("late"))
        with pytest.raises(Closed):
            await database.read(names)

    asyncio.run(main())
    other = place.engine()
    with other.connect() as connection:
        assert len(names(connection)) == 10
    other.dispose()


@pytest.mark.parametrize("claim", ["clm_1", None], ids=["twice", "null"])
def test_errors_of_the_database_carry_no_values(database: Either, claim: str | None) -> None:
    # Put together here, as a traceback quotes its lines.
    secret = "-".join(["very", "secret"])

    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(text("INSERT INTO jit_configs VALUES (:claim, :c)"), {"claim": claim, "c": secret})

    with pytest.raises(Exception, match=r"(?i)unique|not.null") as caught:
        asyncio.run(database.write(twice))
    assert secret not in "".join(traceback.format_exception(caught.value))
