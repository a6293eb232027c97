"""Group commit, isolation of one transaction from its neighbours, and the lock on the file."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from andon.runtime.errors import Refused
from andon.store.database import SqliteDatabase


def add(name: str, *, fail: bool = False):
    def work(connection: Connection) -> str:
        connection.execute(text("INSERT INTO meta (name, value) VALUES (:name, 'x')"), {"name": name})
        if fail:
            raise ValueError(name)
        return name

    return work


def names(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT name FROM meta ORDER BY name")).scalars())


def test_what_waits_together_is_committed_together(database: SqliteDatabase) -> None:
    async def main() -> None:
        assert await asyncio.gather(*(database.write(add(f"n{i:03}")) for i in range(200))) == [
            f"n{i:03}" for i in range(200)
        ]

    asyncio.run(main())
    assert database.commits < 100


def test_a_failing_transaction_undoes_itself_alone(database: SqliteDatabase) -> None:
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


def test_a_result_is_only_given_once_it_is_durable(database: SqliteDatabase, tmp_path: Path) -> None:
    """Another connection, of another process as it were, sees what an awaited write gave."""
    import sqlite3

    async def main() -> None:
        await database.write(add("seen"))

    asyncio.run(main())
    other = sqlite3.connect(tmp_path / "andon.db")
    assert other.execute("SELECT name FROM meta").fetchall() == [("seen",)]
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


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


def test_errors_of_the_database_carry_no_values(database: SqliteDatabase) -> None:
    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(text("INSERT INTO jit_configs VALUES ('clm_1', :c)"), {"c": "SECRET"})

    with pytest.raises(Exception, match="UNIQUE") as caught:
        asyncio.run(database.write(twice))
    assert "SECRET" not in str(caught.value)
