"""A PostgreSQL that stands still, its processes stopped while its kernel goes on: nothing of ours waits
for it without a bound, and what was acknowledged is there when it goes on."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text

from andon.runtime.clock import SystemClock
from andon.runtime.logging import logger
from andon.store import listener, postgres
from andon.store.driver import driver_of
from andon.store.listener import POLL, Listener
from andon.store.postgres import PostgresDatabase
from tests.store.test_database import add, names
from tests.support.databases import PostgresPlace
from tests.support.fleet import SECRET, Program

DATABASES = ("postgresql",)
SLACK_S = 2


@contextlib.contextmanager
def frozen(url: str) -> Generator[None]:
    """Inside, the server that `url` names stands still."""
    with psycopg.connect(url) as connection:
        (main,) = (
            connection.execute("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int").fetchone() or ()
        )
        # The first of all first: it would begin new ones.
        pids = [main, *(pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity"))]
    stopped: list[int] = []
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        yield
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def gone_within(database: PostgresDatabase) -> float:
    """Closes it; gives the seconds that it took. What does not end is left to end with the server."""
    began = time.monotonic()
    closing = threading.Thread(target=database.close)
    closing.start()
    closing.join(postgres.STOP_S + SLACK_S)
    return time.monotonic() - began


def plain(connection: Connection) -> None:
    """Asks as most of the store does."""
    connection.execute(text("SELECT 1"))


def hot(connection: Connection) -> None:
    """Asks as the hot path does."""
    with driver_of(connection) as driver:
        driver.say(b"SELECT 1")


@pytest.mark.parametrize("ask", [plain, hot])
def test_a_database_that_stands_still_is_closed(
    place: PostgresPlace, ask: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a write and inside a read, each in the middle of its transaction."""
    monkeypatch.setattr(postgres, "STOP_S", 0.5)
    database = place.open()

    async def main() -> float:
        await database.write(add("acknowledged"))
        loop = asyncio.get_running_loop()
        inside, go_on = (asyncio.Event(), asyncio.Event()), threading.Event()

        def meet(which: int) -> None:
            loop.call_soon_threadsafe(inside[which].set)
            go_on.wait()

        def writing(connection: Connection) -> None:
            add("unanswered")(connection)
            meet(0)
            ask(connection)

        def reading(connection: Connection) -> None:
            connection.execute(text("SELECT 1"))
            meet(1)
            ask(connection)

        under_way = [asyncio.create_task(database.write(writing)), asyncio.create_task(database.read(reading))]
        for each in inside:
            await each.wait()
        # Behind it in the queue, with a transaction of its own still to begin.
        under_way.append(asyncio.create_task(database.write(add("behind"))))
        with frozen(place.url):
            go_on.set()
            took = await asyncio.to_thread(gone_within, database)
        results = await asyncio.gather(*under_way, return_exceptions=True)
        assert all(isinstance(result, Exception) for result in results)
        return took

    assert asyncio.run(main()) < postgres.STOP_S + SLACK_S
    again = place.open()
    assert asyncio.run(again.read(names)) == ["acknowledged"]
    again.close()


def test_a_close_without_need_is_quick(place: PostgresPlace) -> None:
    assert gone_within(place.open()) < postgres.STOP_S


def test_a_listener_notices_and_can_be_ended(place: PostgresPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()
    answered = listener._answered  # pyright: ignore[reportPrivateUsage]

    async def told(*of: Any) -> Any:
        asked.set()
        return await answered(*of)

    async def main() -> None:
        lost = asyncio.Event()
        log = logger("test")
        monkeypatch.setattr(log, "warning", lambda *_, **__: lost.set(), raising=False)
        hears = Listener(place.url, replica="r", wake=lambda names: None, clock=SystemClock(), log=log)
        task = asyncio.create_task(hears.run())
        await hears.listening.wait()
        with frozen(place.url), monkeypatch.context() as quick:
            quick.setattr(listener, "ANSWER", timedelta(seconds=0.2))
            async with asyncio.timeout(POLL.total_seconds() + SLACK_S):
                await lost.wait()
            assert not hears.listening.is_set()
        await hears.listening.wait()
        monkeypatch.setattr(listener, "_answered", told)
        with frozen(place.url):
            await asked.wait()
            began = time.monotonic()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert time.monotonic() - began < 1

    asyncio.run(main())


def a_program(folder: Path, database: str) -> Program:
    """A control plane on this database; nothing of it runs yet."""
    (folder / "andon.toml").write_text(
        f'[server]\nlisten = "127.0.0.1:0"\ndatabase = "{database}"\n'
        '[github]\napi_url = "http://127.0.0.1:9"\ntoken_file = "github.token"\n'
        '[[owner]]\nlogin = "acme"\nrepositories = ["acme/app"]\n'
        '[[pool]]\nname = "linux"\nlabels = ["self-hosted"]\n'
    )
    for name in ("github.token", "webhook.secret"):
        (folder / name).write_text(SECRET)
        (folder / name).chmod(0o600)
    return Program("control", ["up", "--config", "andon.toml", "--no-agent"], folder)


def ends_in_order(control: Program) -> None:
    began = time.monotonic()
    try:
        assert control.end() == 0
    finally:
        if control.process is not None and control.process.poll() is None:
            control.end(signal.SIGKILL)
    assert time.monotonic() - began < 10


def test_a_control_plane_ends_in_order(place: PostgresPlace, tmp_path: Path) -> None:
    control = a_program(tmp_path, place.url)
    control.start()
    with frozen(place.url):
        ends_in_order(control)


def test_a_control_plane_that_starts_meanwhile_answers_and_ends_in_order(place: PostgresPlace, tmp_path: Path) -> None:
    control = a_program(tmp_path, place.url)
    with frozen(place.url):
        control.start()
        ends_in_order(control)


def test_a_database_that_does_not_exist_is_not_waited_for(place: PostgresPlace, tmp_path: Path) -> None:
    control = a_program(tmp_path, f"{place.url}_that_nobody_made")
    ran = subprocess.run(
        [sys.executable, "-m", "andon", *control.arguments], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    (said,) = [line for line in ran.stderr.splitlines() if line.startswith("andon: ")]
    assert "does not exist" in said and said.endswith("Start the server, or correct [server] database.")
