"""PostgreSQL's own: several control planes on one database, servers that go away, wake-ups."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, make_url, text
from sqlalchemy.exc import IntegrityError, OperationalError

from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused
from andon.runtime.ids import SortableIds
from andon.runtime.logging import logger
from andon.sim.stage.postgres import PostgresServer
from andon.sim.virtual_time import VirtualClock
from andon.store import announcements, listener
from andon.store.driver import driver_of
from andon.store.listener import Listener
from andon.store.migrate import migrate
from andon.store.postgres import IDLE_LIMIT_S, PostgresDatabase, server_address
from andon.store.transaction import Store, Tx
from andon.store.usable import ServerAway
from tests.store.test_database import add, names
from tests.store.transaction_pooler import TransactionPooler
from tests.support.databases import PostgresPlace

DATABASES = ("postgresql",)


@pytest.fixture
def other(place: PostgresPlace) -> Iterator[PostgresDatabase]:
    """A second replica on the same database."""
    made = PostgresDatabase(place.url, replica="other")
    yield made
    made.close()


def test_writers_of_all_replicas_are_one_after_the_other(
    database: PostgresDatabase, other: PostgresDatabase, count: Callable[[int], int]
) -> None:
    """What a transaction read stands until it is written: no update is lost."""

    def increment(connection: Connection) -> None:
        (value,) = connection.execute(text("SELECT value FROM meta WHERE name = 'n'")).one()
        connection.execute(text("UPDATE meta SET value = :v WHERE name = 'n'"), {"v": str(int(value) + 1)})

    async def main() -> str:
        await database.write(lambda c: c.execute(text("INSERT INTO meta (name, value) VALUES ('n', '0')")))
        each = count(1000)
        await asyncio.gather(*(db.write(increment) for _ in range(each) for db in (database, other)))
        value = await other.read(lambda c: c.execute(text("SELECT value FROM meta")).scalar_one())
        assert int(value) == 2 * each
        return value

    asyncio.run(main())


def test_a_replica_that_sleeps_inside_a_transaction_loses_it(
    database: PostgresDatabase, other: PostgresDatabase
) -> None:
    """It holds the writers' lock; the server takes its session away, and the others go on."""

    async def main() -> None:
        inside, wake = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def sleep(connection: Connection) -> None:
            add("sleeper")(connection)
            loop.call_soon_threadsafe(inside.set)
            asyncio.run_coroutine_threadsafe(wake.wait(), loop).result()

        sleeping = asyncio.create_task(database.write(sleep))
        await inside.wait()
        started = loop.time()
        await other.write(add("awake"))
        assert loop.time() - started < IDLE_LIMIT_S + 5
        wake.set()
        with pytest.raises(Exception, match=r"idle.in.transaction|terminat|closed"):
            await sleeping
        assert await other.read(names) == ["awake"]
        await database.write(add("again"))

    asyncio.run(main())


def test_a_server_that_restarts_costs_no_replica_its_database() -> None:
    with PostgresServer.started() as server:
        url = server.fresh_database()
        database = PostgresDatabase(url, lambda engine: migrate(engine, "x"))

        async def main() -> None:
            await database.write(add("before"))
            for how in (signal.SIGINT, signal.SIGQUIT):
                await asyncio.to_thread(server.stop, how)
                with pytest.raises(Exception, match="connection"):
                    await database.write(add("away"))
                with pytest.raises(Exception, match="connection"):
                    await database.read(names)
                await asyncio.to_thread(server.start)
                # At once, although the pool still holds a connection of the old server.
                await database.write(add(f"after-{how.name}"))
                assert "before" in await database.read(names)

        asyncio.run(main())
        assert asyncio.run(database.read(names)) == ["after-SIGINT", "after-SIGQUIT", "before"]
        database.close()


def test_a_connection_lost_between_two_transactions_of_a_group_undoes_both(
    database: PostgresDatabase, place: PostgresPlace
) -> None:
    def cut(connection: Connection) -> None:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with psycopg.connect(place.url, autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s)", (pid,))
        connection.execute(text("SELECT 1"))

    async def main() -> tuple[list[object], list[str]]:
        results = await asyncio.gather(
            *(database.write(add(f"g{number}")) for number in range(5)),
            database.write(cut),
            *(database.write(add(f"h{number}")) for number in range(5)),
            return_exceptions=True,
        )
        return list(results), await database.read(names)

    results, kept = asyncio.run(main())
    assert any(isinstance(result, Exception) for result in results)
    assert sorted(result for result in results if isinstance(result, str)) == kept


def test_a_server_that_is_not_there_is_one_sentence_without_the_password() -> None:
    with pytest.raises(
        Refused, match=r"^postgresql://andon:\*\*\*@127.0.0.1:1/x: PostgreSQL cannot be used \(.*refused.*"
    ):
        PostgresDatabase("postgresql://andon:hush@127.0.0.1:1/x")
    assert "hush" not in server_address("postgresql://h/x?user=u&password=hush")
    with pytest.raises(Refused, match="is no address"):
        server_address("postgresql://u@h:port/x")
    with pytest.raises(Refused, match="no database is named"):
        server_address("postgresql://andon@127.0.0.1")


def test_a_server_that_is_away_is_told_from_one_that_does_not_let_us_in(place: PostgresPlace) -> None:
    """The first is waited for; by waiting for the second nobody would learn that the configuration is wrong."""
    with pytest.raises(ServerAway):
        PostgresDatabase("postgresql://andon:hush@127.0.0.1:1/x")
    address = place.url.rpartition("/")[0]
    for url in (f"{address}/no_such_database", place.url.replace("://andon@", "://nobody@")):
        with pytest.raises(Refused, match="does not exist") as refused:
            PostgresDatabase(url)
        assert not isinstance(refused.value, ServerAway)


def test_a_server_that_goes_away_while_it_is_prepared_is_away(place: PostgresPlace) -> None:
    def prepare(engine: Engine) -> None:
        with engine.connect() as connection, connection.begin():
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(ServerAway):
        PostgresDatabase(place.url, prepare)


@pytest.mark.parametrize("sessions", [1, 3])
def test_a_pooler_that_lends_sessions_by_the_transaction_is_refused(place: PostgresPlace, sessions: int) -> None:
    """One session: another client gets ours. Several: we do not get ours back."""
    server = make_url(place.url)
    assert server.port is not None
    pooler = TransactionPooler(server.port, sessions)
    try:
        with pytest.raises(Refused, match="a pooler there lends a session for one transaction only"):
            PostgresDatabase(server.set(port=pooler.port).render_as_string())
    finally:
        pooler.close()


def test_what_the_server_refused_is_told_without_its_values(place: PostgresPlace) -> None:
    """R26, on the way past SQLAlchemy: the server's DETAIL quotes the row."""
    engine = place.engine()
    with engine.connect() as connection, connection.begin():
        with pytest.raises(IntegrityError) as told, driver_of(connection) as driver:
            driver.say(b"INSERT INTO meta (name, value) VALUES ('hush', '1'), ('hush', '1')")
        assert "unique constraint" in str(told.value)
        assert "hush" not in f"{told.value} {told.value.orig}"
        assert not told.value.connection_invalidated
    engine.dispose()


def test_connections_lost_while_they_waited_in_the_pool_cost_one_error(place: PostgresPlace) -> None:
    """All of them go with the first that is found lost, as with SQLAlchemy's own statements."""
    engine = place.engine()
    with contextlib.ExitStack() as held:
        for _ in range(3):
            held.enter_context(engine.connect())
    with psycopg.connect(place.url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'andon'")
    with engine.connect() as connection:
        with pytest.raises(OperationalError, match="connection") as told:
            connection.begin()
        assert told.value.connection_invalidated
    with contextlib.ExitStack() as held:
        for _ in range(3):
            held.enter_context(held.enter_context(engine.connect()).begin())
    engine.dispose()


Heard = Callable[[str], Coroutine[Any, Any, None]]


@asynccontextmanager
async def listening(url: str, replica: str) -> Any:
    """A listener of its own, and a way to wait until it heard a name."""
    told: asyncio.Queue[str] = asyncio.Queue()

    def wake(what: Iterable[str]) -> None:
        for name in what:
            told.put_nowait(name)

    hears = Listener(url, replica=replica, wake=wake, clock=SystemClock(), log=logger("test"))
    task = asyncio.create_task(hears.run())

    async def heard(name: str) -> None:
        async with asyncio.timeout(10):
            while await told.get() != name:
                pass

    try:
        await heard("*")
        yield heard, told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def store_of(database: PostgresDatabase) -> Store:
    clock = VirtualClock()
    return Store(database, clock, SortableIds(clock, Random(1)))


def nudging(*what: str) -> Callable[[Tx], None]:
    return lambda tx: tx.nudges.update(what)


def test_what_one_replica_woke_is_heard_by_the_other_and_not_by_itself(place: PostgresPlace) -> None:
    async def main() -> None:
        first = PostgresDatabase(place.url, replica="first")
        async with listening(place.url, "second") as (heard, _), listening(place.url, "first") as (_, own):
            await store_of(first).write(nudging("dispatch", "host:host-a"))
            await heard("dispatch")
            await heard("host:host-a")
            assert own.empty()
        first.close()

    asyncio.run(main())


def test_a_wake_up_whose_notification_was_lost_is_found_by_the_poll(
    place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "CHANNEL", "another")

    async def main() -> None:
        first = PostgresDatabase(place.url, replica="first")
        async with listening(place.url, "second") as (heard, _):
            await store_of(first).write(nudging("outbox"))
            await heard("outbox")
        first.close()

    asyncio.run(main())


def test_a_listener_comes_back_after_its_connection_was_cut(place: PostgresPlace) -> None:
    async def main() -> None:
        first = PostgresDatabase(place.url, replica="first")
        async with listening(place.url, "second") as (heard, _):
            with psycopg.connect(place.url, autocommit=True) as killer:
                killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'andon listener'"
                )
            # Whatever it missed meanwhile.
            await heard("*")
            await store_of(first).write(nudging("dispatch"))
            await heard("dispatch")
        first.close()

    asyncio.run(main())


def test_many_names_are_told_as_everything() -> None:
    said = announcements.payload("r", [f"host:{number}" * 10 for number in range(1000)])
    assert announcements.told(said) == ("r", ("*",))
