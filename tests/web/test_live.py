"""The live stream over real HTTP: news come, silence is filled, and a stop does not wait for it."""

import asyncio
import contextlib
from pathlib import Path
from random import Random

import httpx2
import pytest

from andon.model.config import Config, Pool
from andon.model.config import GitHub as GitHubTable
from andon.model.config import Server as ServerTable
from andon.runtime.clock import SystemClock
from andon.runtime.ids import SortableIds
from andon.serve import serve_control_plane
from andon.web import live
from tests.web.page_fleet import PageFleet, Served

PATIENCE_S = 20.0


async def next_event(lines: object) -> str:
    """The name of the next event; comments and fields around it are read over."""
    async with asyncio.timeout(PATIENCE_S):
        async for line in lines:  # type: ignore[attr-defined]
            if line.startswith("event: "):
                return str(line.removeprefix("event: "))
    return "end"


def test_a_change_arrives_at_once(fleet: PageFleet) -> None:
    server = Served(fleet)

    async def watch() -> list[str]:
        async with httpx2.AsyncClient() as client, client.stream("GET", f"{server.url}/live") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            events = [await next_event(lines)]
            await asyncio.to_thread(fleet.host, "host-a")
            events.append(await next_event(lines))
            await asyncio.to_thread(fleet.news, 1, "queued")
            events.append(await next_event(lines))
            await asyncio.to_thread(server.stop)
            events.append(await next_event(lines))
            return events

    try:
        assert asyncio.run(watch()) == ["open", "changed", "changed", "end"]
    finally:
        server.stop()


def test_a_change_that_woke_nobody_arrives_all_the_same(fleet: PageFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LOOK_S", 0.05)
    fleet.host("host-a")
    server = Served(fleet)
    fleet.store.on_nudges(lambda names: None)

    async def watch() -> list[str]:
        async with httpx2.AsyncClient() as client, client.stream("GET", f"{server.url}/live") as answer:
            lines = answer.aiter_lines()
            events = [await next_event(lines)]
            fleet.clock.advance(60)
            await asyncio.to_thread(fleet.fall_silent, "host-a")
            events.append(await next_event(lines))
            return events

    try:
        assert asyncio.run(watch()) == ["open", "changed"]
    finally:
        server.stop()


def test_silence_is_filled_and_the_stream_ends_by_itself(fleet: PageFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BEAT_S", 0.05)
    monkeypatch.setattr(live, "LASTS_S", 0.5)
    server = Served(fleet)

    async def watch() -> str:
        async with asyncio.timeout(PATIENCE_S), httpx2.AsyncClient() as client:
            return (await client.get(f"{server.url}/live")).text

    try:
        text = asyncio.run(watch())
    finally:
        server.stop()
    assert text.startswith("retry: 1500\nevent: open\ndata: 1\n\n")
    assert text.count(": still here\nevent: beat\ndata: 1\n\n") >= 2


def test_the_control_plane_stops_in_time_with_streams_open(tmp_path: Path) -> None:
    """interfaces.md section 2: exit in at most 10 s."""
    (tmp_path / "webhook.secret").write_text("s")
    (tmp_path / "github.token").write_text("t")
    config = Config(
        server=ServerTable(listen="127.0.0.1:0"),
        github=GitHubTable(api_url="http://127.0.0.1:9", token_file="github.token"),
        pool=(Pool(name="linux", labels=("self-hosted",)),),
    )

    async def run() -> float:
        clock = SystemClock()
        stop = asyncio.Event()
        ready: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            serve_control_plane(
                config,
                data=tmp_path,
                clock=clock,
                ids=SortableIds(clock, Random(1)),
                announce=ready.set_result,
                stop=stop,
                pid=1,
            )
        )
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        url = f"{ready.result()['url']}/live"
        async with httpx2.AsyncClient() as client, client.stream("GET", url) as answer:
            lines = answer.aiter_lines()
            assert await next_event(lines) == "open"
            began = clock.monotonic()
            stop.set()
            await serving
            # The stream was open all the while: only now is its end read.
            with contextlib.suppress(httpx2.RemoteProtocolError):
                assert await next_event(lines) == "end"
            return clock.monotonic() - began

    assert asyncio.run(run()) <= 10.0
