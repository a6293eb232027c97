"""Every older schema is migrated with work in flight, and the control plane goes on with all of it (R14, R87;
limits.md 6 row 14)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from andon.runtime.errors import Refused
from andon.runtime.ids import SortableIds
from andon.sim.stage.postgres import PostgresServer
from andon.sim.virtual_time import VirtualClock
from andon.store.transaction import Store
from tests.loops.flight import STATES, Flight
from tests.support.databases import Place, PostgresPlace, SqlitePlace
from tests.support.older_schema import OLDER, everything_in, fill, make_schema, revision_of, tables_of


@pytest.fixture
def empty(place: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A place of the same kind with nothing in it, not even a schema."""
    if place.kind == "sqlite":
        yield SqlitePlace(tmp_path / "older.db")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.fresh_database()
    yield PostgresPlace(url)
    server.drop_database(url)


@pytest.mark.parametrize("older", OLDER)
def test_what_is_in_flight_is_carried_to_its_end(
    store: Store, place: Place, empty: Place, clock: VirtualClock, older: str
) -> None:
    async def story() -> None:
        flight = Flight(store, clock)
        await flight.start()
        before = await flight.states()
        assert before == STATES
        from_engine, to_engine = place.engine(), empty.engine()
        rows = everything_in(from_engine)
        make_schema(to_engine, older)
        fill(to_engine, rows)
        assert revision_of(to_engine) == older
        from_engine.dispose()
        to_engine.dispose()
        database = empty.open()
        try:
            upgraded = Store(database, clock, SortableIds(clock, Random(9)))
            flight.goes_on_with(upgraded)
            assert await flight.states() == before, "nothing moved by the migration"
            await flight.to_the_end()
            assert len(flight.host.started) == len(set(flight.host.started)), "no claim was started twice"
            assert flight.world.registrations() == set(), "and nothing is left at GitHub"
            (kept,) = await upgraded.read(
                lambda connection: connection.execute(text("SELECT state FROM deliveries WHERE guid = 'g-1'")).all()
            )
            assert kept.state == "ignored", "a delivery that was only kept is applied after the upgrade"
        finally:
            await flight.world.close()
            database.close()

    asyncio.run(story())


@pytest.mark.parametrize("older", OLDER)
def test_an_older_program_on_a_newer_database_says_so_and_writes_nothing(
    place: Place, empty: Place, store: Store, clock: VirtualClock, older: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program that stops at `older` meets the database that this one wrote."""
    engine = place.engine()
    before, schema = everything_in(engine), tables_of(engine)
    stop_at(older, monkeypatch)
    store.close()
    with pytest.raises(Refused, match=r"written by a newer version of Andon .* Install that version, or restore"):
        place.open()
    assert everything_in(engine) == before and tables_of(engine) == schema
    engine.dispose()


def stop_at(revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the later migrations out of the program."""
    from alembic.script import ScriptDirectory

    whole = ScriptDirectory.walk_revisions

    def known(self: ScriptDirectory, *given: Any, **options: Any) -> Iterator[Any]:
        return iter([each for each in whole(self, *given, **options) if each.revision <= revision])

    monkeypatch.setattr(ScriptDirectory, "walk_revisions", known)
