"""Migrations end in exactly the schema, on both databases; a newer database is refused and left as it is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from andon.runtime.errors import Refused
from andon.sim.stage.postgres import PostgresServer
from andon.store import claims, disks, hosts
from andon.store.migrate import migrate
from andon.store.postgres import postgres_engine
from andon.store.schema import metadata
from andon.store.sqlite import sqlite_engine
from tests.support.databases import KINDS

NEWEST = ScriptDirectory("src/andon/store/migrations").get_current_head()


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database with nothing in it."""
    if request.param == "sqlite":
        engine = sqlite_engine(tmp_path / "a.db")
        yield engine
        engine.dispose()
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.fresh_database()
    engine = postgres_engine(url)
    yield engine
    engine.dispose()
    server.drop_database(url)


def test_from_empty_to_exactly_the_schema(empty: Engine) -> None:
    assert migrate(empty, "a.db") is None
    with empty.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_partial_indexes_have_their_conditions(empty: Engine) -> None:
    """Alembic does not compare them, and the two unique ones are the last line against doubling (R17)."""
    migrate(empty, "a.db")
    found = {
        index["name"]: str(index.get("dialect_options", {}).get(f"{empty.dialect.name}_where", ""))
        for table in metadata.tables
        for index in inspect(empty).get_indexes(table)
    }
    wanted = {
        index.name: index.dialect_options[empty.dialect.name]["where"]
        for table in metadata.tables.values()
        for index in table.indexes
    }
    assert found.keys() >= wanted.keys()
    for name, condition in wanted.items():
        assert bool(found[name]) == (condition is not None), name
    assert "busy" in found["ux_claims_live_job"] and "busy" in found["ux_claims_live_slot"]


def test_twice_changes_nothing(empty: Engine) -> None:
    migrate(empty, "a.db")
    assert migrate(empty, "a.db") == NEWEST


def test_slots_with_work_on_them_come_through_and_rest_from_nothing(empty: Engine) -> None:
    """0003 -> 0004 while runners are at work: no slot is lost, held back or freed by it."""
    config = AlembicConfig()
    config.set_main_option("script_location", "src/andon/store/migrations")
    busy = {"host": "host-a", "slot": 0, "kind": "jit", "pool": "linux", "intent": "open", "state": "running"}
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.execute(
            text(
                "INSERT INTO slots (host, slot, kind, pool, intent, state, claim, generation, since)"
                " VALUES (:host, :slot, :kind, :pool, :intent, :state, 'clm_1', 3, 0)"
            ),
            busy,
        )
    assert migrate(empty, "a.db") == "0003"
    with empty.connect() as connection:
        (slot,) = hosts.all_slots(connection)
    assert (slot.state, slot.claim, slot.generation) == ("running", "clm_1", 3)
    assert (slot.failed_starts, slot.rests_until) == (0, None)


def test_hosts_with_work_come_through_and_tell_of_no_disk(empty: Engine) -> None:
    """0007 -> 0008 while runners are at work; a version that knows no `disks` still enrols hosts beside the new one."""
    config = AlembicConfig()
    config.set_main_option("script_location", "src/andon/store/migrations")
    old = (
        "INSERT INTO hosts (name, intent, observed, seq, disk, enrolled_at)"
        " VALUES (:name, 'open', 'reporting', 7, :d, 0)"
    )
    busy = (
        "INSERT INTO claims (id, job_id, owner, repository, pool, host, slot, state, generation, runner_name,"
        " created_at, since) VALUES ('clm_1', 1, 'acme', 'acme/app', 'linux', 'host-a', 0, 'busy', 3, 'r-1', 0, 0)"
    )
    with empty.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        connection.execute(text(old), {"name": "host-a", "d": '[{"mount":"/"}]'})
        connection.execute(text(busy))
    assert migrate(empty, "a.db") == "0007"
    with empty.begin() as connection:
        connection.execute(text(old), {"name": "host-b", "d": "[]"})
        found = hosts.all_hosts(connection)
        (claim,) = claims.live_claims(connection)
        assert disks.all_disks(connection) == []
    assert [(host.name, host.seq, host.disks) for host in found] == [("host-a", 7, 0), ("host-b", 7, 0)]
    assert (claim.id, claim.generation, claim.state.value) == ("clm_1", 3, "busy")


def test_a_database_of_a_newer_version_is_refused_in_one_sentence(empty: Engine) -> None:
    migrate(empty, "a.db")
    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Refused, match=r"a\.db: the database was written by a newer version of Andon \(schema 9999\)"):
        migrate(empty, "a.db")


def test_two_replicas_that_start_together_migrate_once(
    postgres: PostgresServer, together: Callable[..., list[object]]
) -> None:
    url = postgres.fresh_database()
    engines = [postgres_engine(url) for _ in range(4)]
    assert sorted(together(*(lambda engine=engine: migrate(engine, "x") for engine in engines)), key=str) == [
        *[NEWEST] * 3,
        None,
    ]
    for engine in engines:
        engine.dispose()
    postgres.drop_database(url)
