"""SQLite's own: durable commits, one process on one file, a full disk, a file for its owner alone."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from andon.runtime.errors import Refused
from andon.store.sqlite import SqliteDatabase
from tests.store.test_database import add, names

DATABASES = ("sqlite",)


def test_every_commit_reaches_the_disk(database: SqliteDatabase) -> None:
    level = asyncio.run(database.read(lambda connection: connection.execute(text("PRAGMA synchronous")).scalar()))
    assert level == 2, "FULL: a power cut must not hand out a JIT config twice"


def test_a_second_control_plane_on_one_file_is_refused(database: SqliteDatabase, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"another control plane \(pid \d+\) uses this database"):
        SqliteDatabase(tmp_path / "andon.db")


def test_when_sqlite_undoes_a_whole_group_nobody_is_told_that_he_was_written(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    """A full disk rolls back everything since BEGIN, not only the savepoint that met it."""

    def fill(connection: Connection) -> None:
        connection.execute(text("INSERT INTO meta (name, value) VALUES ('big', :v)"), {"v": "x" * 4_000_000})

    def limit(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 200")

    async def main() -> tuple[list[object], list[str]]:
        await database.write(limit)
        # The first holds the writer up, so that the others come to be one group.
        results = await asyncio.gather(
            *(database.write(add(f"g{number}")) for number in range(5)),
            database.write(fill),
            *(database.write(add(f"h{number}")) for number in range(5)),
            return_exceptions=True,
        )
        return list(results), await database.read(names)

    results, kept = asyncio.run(main())
    assert any(isinstance(result, Exception) for result in results)
    assert sorted(result for result in results if isinstance(result, str)) == kept


def test_the_database_can_be_read_by_its_owner_alone(database: SqliteDatabase, tmp_path: Path) -> None:
    asyncio.run(database.write(add("a")))
    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.glob("andon.db*") if "lock" not in path.name}
    assert len(modes) >= 2
    assert set(modes.values()) == {0}, modes
