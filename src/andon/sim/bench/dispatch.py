"""Benchmark "dispatch" on SQLite: one dispatch transaction of 50 claims against a bare group commit.

Ours reads the snapshot, checks the budgets, decides, and writes claims, journal and outbox. The
baseline inserts the same rows into the same tables with the bare driver: one transaction, one
durable commit. Both on files of one folder, in turn, round by round.
"""

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, text

from andon.runtime.clock import Clock
from andon.runtime.ids import Ids
from andon.sim.bench.dispatch_backlog import BATCH, OWNERS, fill, policy
from andon.sim.bench.figures import Result, figure
from andon.sim.bench.processor import busy
from andon.store.dispatch import dispatch_once
from andon.store.migrate import migrate
from andon.store.sqlite import SqliteDatabase, sqlite_engine
from andon.store.transaction import Store

_TABLES = ("claims", "journal", "outbox")


async def bench_dispatch(*, rounds: int, backlog: int, clock: Clock, ids: Ids, say: Callable[[str], None]) -> Result:
    """Runs `rounds` pairs of transactions over a backlog of `backlog` waiting jobs."""
    conditions = busy()
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as folder:
        ours, bare = Path(folder) / "ours.db", Path(folder) / "bare.db"
        engine = sqlite_engine(bare)
        migrate(engine, str(bare))
        engine.dispose()
        database = SqliteDatabase(ours, lambda engine: migrate(engine, str(ours)))
        store = Store(database, clock, ids)
        say(f"filling a backlog of {backlog} jobs and {BATCH} slots ...")
        await database.write(lambda connection: fill(connection, backlog, clock.now()))
        of_batch = policy()
        connection = _bare_connection(bare)
        ours_s: list[float] = []
        bare_s: list[float] = []
        for number in range(rounds + 2):
            began = clock.monotonic()
            done = await store.write(lambda tx: dispatch_once(tx, of_batch, fleet="bench", mode="act"))
            took = clock.monotonic() - began
            if len(done.claimed) != BATCH:
                raise AssertionError(f"round {number} claimed {len(done.claimed)} of {BATCH}")
            rows = await database.read(_new_rows)
            again = clock.monotonic()
            _insert_bare(connection, rows)
            took_bare = clock.monotonic() - again
            if number >= 2:
                # The first two warm up both sides.
                ours_s.append(took)
                bare_s.append(took_bare)
            await database.write(_free_the_slots)
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table}")
            if number % 20 == 19:
                say(f"{number + 1} of {rounds + 2} rounds")
        connection.close()
        store.close()
    pairs = list(zip(ours_s, bare_s, strict=True))
    return Result(
        bench="dispatch",
        conditions=f"SQLite FULL, {rounds} pairs in turn, batch {BATCH}, backlog {backlog}, {OWNERS} owners, "
        f"{conditions}",
        figures=(
            figure("SQLite: claims a second, ours", [BATCH / each for each in ours_s], "1/s"),
            figure("SQLite: claims a second, bare", [BATCH / each for each in bare_s], "1/s"),
            figure("SQLite: ours / bare", [bare / own for own, bare in pairs], "ratio", bound=0.30),
        ),
    )


def _new_rows(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """What the last round wrote, as bare rows."""
    return {table: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))] for table in _TABLES}


def _free_the_slots(connection: Connection) -> None:
    """Takes the round back: fifty free slots and the whole backlog again, however many rounds there are."""
    for table in _TABLES:
        connection.execute(text(f"DELETE FROM {table}"))


def _bare_connection(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-16000"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _insert_bare(connection: sqlite3.Connection, rows: dict[str, list[tuple[object, ...]]]) -> None:
    connection.execute("BEGIN")
    for table, of_table in rows.items():
        places = ", ".join("?" * len(of_table[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", of_table)
    connection.execute("COMMIT")
