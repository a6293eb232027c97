"""Whatever was acknowledged is stored, once: the control plane ended by SIGKILL under load, and its
database taken away (R1, R14). Judged by the acknowledgements that the senders hold."""

import http.client
import itertools
import json
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import psycopg
import pytest

from andon.github.signature import sign
from andon.sim.stage.postgres import PostgresServer
from tests.support.fleet import SECRET, Program, wait_for

SENDERS = 8
CONFIG = """
[server]
listen = "{listen}"
database = "{database}"
[github]
api_url = "http://127.0.0.1:9"
token_file = "github.token"
webhook_secret_file = "webhook.secret"
[[pool]]
name = "linux"
labels = ["self-hosted", "linux"]
"""
BODY = json.dumps(
    {
        "action": "queued",
        "workflow_job": {"id": 1, "run_id": 1, "name": "x" * 11_000, "status": "queued", "labels": ["ubuntu-latest"]},
        "repository": {"id": 1, "full_name": "acme/app", "owner": {"login": "acme"}},
    }
).encode()


@dataclass
class Senders:
    """Deliveries from several connections at once; a GUID counts as acknowledged once its 202 was read."""

    url: str
    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0
    """Answers other than 202."""
    slowest_s: float = 0.0
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._stop.clear()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        address = urlsplit(self.url).netloc
        connection = http.client.HTTPConnection(address, timeout=10)
        headers = {"x-github-event": "workflow_job", "x-hub-signature-256": sign(SECRET, BODY)}
        while not self._stop.is_set():
            guid = f"guid-{next(self._numbers)}"
            begun = _now()
            try:
                connection.request("POST", "/webhooks/github", BODY, {**headers, "x-github-delivery": guid})
                with connection.getresponse() as answer:
                    answer.read()
            except (OSError, http.client.HTTPException):
                # Ended under us, or not there again yet.
                connection.close()
                self._stop.wait(0.02)
                continue
            if answer.status == 202:
                self.acknowledged.add(guid)
                self.slowest_s = max(self.slowest_s, _now() - begun)
            else:
                self.refused += 1
        connection.close()


def _now() -> float:
    return time.monotonic()


@contextmanager
def a_control_plane(folder: Path, database: str) -> Iterator[tuple[Program, Callable[[], str]]]:
    """A control plane alone; the second part starts it, always on the same address."""
    (folder / "webhook.secret").write_text(SECRET)
    (folder / "github.token").write_text("a-token")
    program = Program("control", ["up", "--config", "andon.toml"], folder)
    listen = "127.0.0.1:0"

    def start() -> str:
        nonlocal listen
        (folder / "andon.toml").write_text(CONFIG.format(listen=listen, database=database))
        url = str(program.start()["url"])
        listen = url.removeprefix("http://")
        return url

    try:
        yield program, start
    finally:
        if program.process is not None and program.process.poll() is None:
            program.end()


def drained(folder: Path) -> bool:
    return not list((folder / "spool").glob("*.segment"))


def check(acknowledged: set[str], stored: list[str]) -> None:
    assert len(stored) == len(set(stored)), "a GUID is stored once"
    assert acknowledged - set(stored) == set(), "acknowledged, and not there"


def stored_in(database: str, folder: Path) -> list[str]:
    if database.startswith("sqlite"):
        with sqlite3.connect(folder / "andon.db") as sqlite:
            return [row[0] for row in sqlite.execute("SELECT guid FROM deliveries")]
    with psycopg.connect(database) as connection:
        return [row[0] for row in connection.execute("SELECT guid FROM deliveries")]


@pytest.fixture
def durable(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A server whose commits reach the disk, and that a test may stop."""
    with PostgresServer.started() as server:
        yield server


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_acknowledged_delivery_is_missing_after_sigkill_under_load(
    tmp_path: Path, kind: str, count: Callable[[int], int], request: pytest.FixtureRequest
) -> None:
    database = "sqlite:///andon.db"
    if kind == "postgresql":
        database = request.getfixturevalue("durable").fresh_database()
    rng = Random(11)
    with a_control_plane(tmp_path, database) as (program, start):
        senders = Senders(start())
        senders.start()
        for _ in range(count(50)):
            enough = len(senders.acknowledged) + rng.randrange(20, 300)
            wait_for("some are acknowledged", lambda enough=enough: len(senders.acknowledged) >= enough, every=0.005)
            program.end(signal.SIGKILL)
            start()
        senders.stop()
        wait_for("the spool is empty", lambda: drained(tmp_path))
        program.end()
    check(senders.acknowledged, stored_in(database, tmp_path))
    assert senders.acknowledged


def test_deliveries_are_acknowledged_while_the_database_is_away(
    tmp_path: Path, durable: PostgresServer, count: Callable[[int], int]
) -> None:
    """30 s in the proof; and the control plane is ended by SIGKILL with deliveries on its disk."""
    database = durable.fresh_database()
    away_s = count(30)
    with a_control_plane(tmp_path, database) as (program, start):
        senders = Senders(start())
        senders.start()
        wait_for("some are acknowledged", lambda: len(senders.acknowledged) >= 100)
        durable.stop(signal.SIGQUIT)
        before = len(senders.acknowledged)
        until = _now() + away_s
        wait_for("it was away so long", lambda: _now() > until, seconds=away_s + 5)
        assert len(senders.acknowledged) > before + 100 * away_s / 3, "acknowledged all the time"
        durable.start()
        wait_for("the spool is empty", lambda: drained(tmp_path) and len(senders.acknowledged) > before, every=0.01)
        assert not list((tmp_path / "spool").glob("*.refused")), "a database that goes away is no delivery's fault"
        # Once more, and this time nobody is left to drain it.
        durable.stop(signal.SIGQUIT)
        more = len(senders.acknowledged) + 200
        wait_for("some lie on the disk", lambda: len(senders.acknowledged) >= more)
        program.end(signal.SIGKILL)
        senders.stop()
        assert not drained(tmp_path), (tmp_path / "control.log").read_text()[-3000:]
        durable.start()
        start()
        wait_for("the spool is empty", lambda: drained(tmp_path))
        program.end()
    check(senders.acknowledged, stored_in(database, tmp_path))
    assert senders.refused == 0, "nothing was refused in all that time"
    print(f"slowest acknowledgement: {senders.slowest_s:.3f} s")
