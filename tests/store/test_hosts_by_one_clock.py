"""Replicas whose clocks differ do not call each other's hosts silent: hosts are heard by the database's clock (R35)."""

from datetime import datetime, timedelta
from random import Random

import pytest
from sqlalchemy import select

from andon.model.host_states import SILENT_AFTER
from andon.runtime.clock import Clock
from andon.runtime.ids import SortableIds
from andon.sim.virtual_time import VirtualClock
from andon.store import enrolments, hosts
from andon.store.database import Database
from andon.store.postgres import PostgresDatabase
from andon.store.schema import hosts as table
from andon.store.transaction import Store, Tx
from tests.support.running import read, rows, write


def replica(database: Database, clock: Clock, shared: Clock) -> Store:
    """One whose own clock is `clock`; the database's is its own, or `shared` where it has none."""
    by_database = isinstance(database, PostgresDatabase)
    ids = SortableIds(clock, Random(1))
    return Store(database, clock, ids, database_time=by_database, lease_clock=shared)


def hear(store: Store) -> None:
    def work(tx: Tx) -> None:
        host = hosts.get_host(tx.connection, "host-a")
        assert host is not None
        hosts.hear(tx, host, boot_id="b", seq=1, version="1")

    write(store, work)


def silent(store: Store, after: timedelta = SILENT_AFTER) -> list[str]:
    return write(store, lambda tx: hosts.fall_silent(tx, tx.lease_time() - after))


@pytest.mark.parametrize("off_s", [-600, 600])
def test_the_listener_and_the_judge_may_have_clocks_that_differ(database: Database, off_s: float) -> None:
    clock, other = VirtualClock(), VirtualClock()
    other.advance(700)
    clock.advance(700 + off_s)
    listens, judges = replica(database, clock, other), replica(database, other, other)
    write(judges, lambda tx: hosts.enrol(tx, "host-a", "aht_x"))
    hear(listens)
    assert silent(judges) == []
    assert write(judges, lambda tx: enrolments.speaks(hosts.get_host(tx.connection, "host-a"), tx.lease_time()))
    (kept,) = rows(judges, select(table.c.last_seen))
    now: datetime = read(judges, judges.lease_time)
    assert timedelta(0) <= now - kept["last_seen"] < timedelta(seconds=30)
    assert silent(judges, -timedelta(seconds=60)) == ["host-a"], "and what is old by that clock is"
