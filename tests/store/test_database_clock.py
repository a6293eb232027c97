"""Where replicas share a database they live by its clock: one whose own is wrong dates and judges like the others."""

from datetime import timedelta
from pathlib import Path
from random import Random

from andon.runtime.ids import SortableIds
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock
from andon.store.database import Database
from andon.store.database_clock import DatabaseClock
from andon.store.opening import open_store
from andon.store.postgres import PostgresDatabase
from andon.store.transaction import Store
from tests.support.builders import START
from tests.support.databases import Place, PostgresPlace
from tests.support.running import read, write


class SetClock(VirtualClock):
    """One whose calendar somebody sets, while what passes stays what it is."""

    off = timedelta(0)

    def now(self):
        return super().now() + self.off


def test_it_goes_on_by_what_passes_whatever_the_calendar_says() -> None:
    own = SetClock()
    clock = DatabaseClock(own)
    assert clock.doubtful and clock.now() == own.now(), "nobody was asked yet"
    clock.hear(START + timedelta(hours=5))
    own.advance(60)
    assert clock.now() == START + timedelta(hours=5, seconds=60)
    assert not clock.doubtful
    own.off = timedelta(hours=1)
    assert clock.now() == START + timedelta(hours=5, seconds=60)
    assert clock.doubtful, "the machine may have slept for that hour: the database knows"
    clock.hear(START + timedelta(hours=5, seconds=61))
    assert not clock.doubtful
    assert clock.now() == START + timedelta(hours=5, seconds=61)


def test_an_answer_that_was_on_its_way_moves_nothing() -> None:
    clock = DatabaseClock(SetClock())
    clock.hear(START)
    clock.hear(START - timedelta(milliseconds=80))
    assert clock.now() == START
    clock.hear(START - timedelta(milliseconds=120))
    assert clock.now() == START - timedelta(milliseconds=120)


def test_a_control_plane_lives_by_it_where_others_may_be_at_work(place: Place, tmp_path: Path) -> None:
    url = place.url if isinstance(place, PostgresPlace) else "sqlite:///andon.db"
    own = SetClock()
    opened = open_store(url, tmp_path, clock=own, ids=SortableIds(own, Random(1)), log=logger("test"), replica="a")
    try:
        assert isinstance(opened.store.clock, DatabaseClock) is opened.shared
        assert opened.shared is isinstance(place, PostgresPlace)
        dated = write(opened.store, lambda tx: tx.now)
        assert (abs(dated - own.now()) < timedelta(days=1)) is not opened.shared, "it asks before it dates anything"
    finally:
        opened.store.close()


def test_transactions_of_replicas_whose_clocks_differ_are_dated_alike(database: Database) -> None:
    by_database = isinstance(database, PostgresDatabase)
    shared = SetClock()
    right, wrong = SetClock(), SetClock()
    wrong.off = timedelta(hours=1)

    def replica(own: SetClock) -> Store:
        ids = SortableIds(own, Random(1))
        return Store(database, DatabaseClock(own), ids, database_time=by_database, lease_clock=shared)

    first, second = replica(right), replica(wrong)
    dated = [write(store, lambda tx: tx.now) for store in (first, second, first)]
    assert max(dated) - min(dated) < timedelta(seconds=30)
    wrong.off = timedelta(hours=-2)
    read(second, lambda connection: None)
    assert abs(second.clock.now() - first.clock.now()) < timedelta(seconds=30), "a look is enough"
