"""Migrations end in exactly the schema; a newer database is refused and left as it is."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from andon.runtime.errors import Refused
from andon.store.database import sqlite_engine
from andon.store.migrate import migrate
from andon.store.schema import metadata


def test_from_empty_to_exactly_the_schema(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "a.db")
    assert migrate(engine, "a.db") is None
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        live = connection.execute(
            text("SELECT sql FROM sqlite_master WHERE name IN ('ux_claims_live_job', 'ux_claims_live_slot')")
        ).scalars()
        # Alembic does not compare the condition of a partial index.
        assert all("WHERE state IN ('busy'" in sql for sql in live)
    engine.dispose()


def test_twice_changes_nothing(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "a.db")
    migrate(engine, "a.db")
    assert migrate(engine, "a.db") == "0001"
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "a.db")
    migrate(engine, "a.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Refused, match=r"a\.db: the database was written by a newer version of Andon \(schema 9999\)"):
        migrate(engine, "a.db")
    engine.dispose()
