"""`andon bench ingest` in small: both servers are real, and nothing acknowledged is missing."""

import asyncio
import sqlite3
from pathlib import Path
from random import Random

from andon.runtime.clock import SystemClock
from andon.sim.bench.ingest import Arm, Counts, bench_ingest

SMALL = Counts(rounds=1, seconds=0.3, even_seconds=0.3, jobs=20, connections=8)


def test_both_servers_are_measured_and_hold_what_they_acknowledged() -> None:
    said: list[str] = []
    result = asyncio.run(bench_ingest(counts=SMALL, clock=SystemClock(), chance=Random(1), say=said.append))
    figures = {figure.name: figure for figure in result.figures}
    assert figures["acknowledged and missing, ours"].value == 0
    assert figures["acknowledged and missing, bare"].value == 0
    assert figures["webhooks a second, ours"].value > 0
    assert figures["webhooks a second, bare"].value > 0
    assert figures["ours / bare"].bound == 0.60
    assert figures["p99 of an answer, ours"].bound == 100
    assert figures["p99 at 50 a second, ours"].bound == 50
    assert figures["processor time of the load maker"].value > 0
    assert said[-1].startswith("round 1 of 1: ours ")


def test_a_delivery_that_was_acknowledged_and_not_stored_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE deliveries (guid TEXT)")
    connection.execute("INSERT INTO deliveries VALUES ('a')")
    connection.commit()
    connection.close()
    arm = Arm("ours", url="http://127.0.0.1:1", pid=1, database=path, secret="s")
    arm.acked = ["a", "b"]
    assert arm.missing() == 1
