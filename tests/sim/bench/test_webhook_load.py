"""The load maker: what it sends is what GitHub sends, and it counts only what was acknowledged."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from andon.github.parsing import guid_time, parse_delivery
from andon.github.signature import is_signed
from andon.model.news import JobNews
from andon.runtime.clock import SystemClock
from andon.sim.bench.ingest import REPOSITORY, guid_prefix
from andon.sim.bench.webhook_bodies import JOBS_A_RUN, make_bodies
from andon.sim.bench.webhook_load import Load, LoadPlan, LoadResult, guid_of
from andon.sim.virtual_time import VirtualClock

Answer = Callable[[int], bytes | None]
"""What the server answers to its n-th request; None hangs up."""


def reply(status: int) -> bytes:
    return b"HTTP/1.1 %d x\r\ncontent-length: 2\r\n\r\n{}" % status


async def against(answer: Answer, bodies: Path, **how: Any) -> tuple[LoadResult, list[tuple[dict[str, str], bytes]]]:
    """A load against a server that keeps what it got."""
    got: list[tuple[dict[str, str], bytes]] = []

    handlers: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
                got.append((headers, await reader.readexactly(int(headers["content-length"]))))
                out = answer(len(got))
                if out is None:
                    return
                # In two pieces: the end of the head is not the end of the answer.
                writer.write(out[:-1])
                await writer.drain()
                writer.write(out[-1:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    plan = LoadPlan(
        host="127.0.0.1", port=port, path="/webhooks/github", secret="s", bodies=str(bodies), guid="g" * 24, **how
    )
    try:
        return await Load(plan, SystemClock()).run(), got
    finally:
        server.close()
        await asyncio.gather(*(each for each in handlers if each is not None))


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    path = tmp_path / "bodies.json"
    made = make_bodies("acme/app", jobs=2, clock=VirtualClock(), chance=Random(1))
    path.write_bytes(msgspec.json.encode(made.jobs))
    return path


def test_bodies_have_the_size_of_real_ones_and_are_understood() -> None:
    made = make_bodies(REPOSITORY, jobs=JOBS_A_RUN + 1, clock=VirtualClock(), chance=Random(1))
    assert len(made.runs) == 2
    assert len(made.jobs) == 2 * (JOBS_A_RUN + 1)
    assert all(11_000 < len(each.body) < 13_000 for each in made.jobs)
    told = [parse_delivery(each.event, "guid", each.body) for each in made.jobs]
    assert all(isinstance(each, JobNews) for each in told)
    assert len({each.id for each in told if isinstance(each, JobNews)}) == JOBS_A_RUN + 1


def test_requests_are_signed_and_each_has_its_own_guid(bodies: Path) -> None:
    result, got = run(against(lambda _: reply(202), bodies, requests=40, connections=4))
    assert sorted(result.acked) == list(range(40))
    assert {headers["x-github-delivery"] for headers, _ in got} == {guid_of("g" * 24, n) for n in range(40)}
    assert all(is_signed("s", body, headers["x-hub-signature-256"]) for headers, body in got)
    assert {headers["x-github-event"] for headers, _ in got} == {"workflow_job"}
    assert len(result.seconds) == 40


def test_only_a_202_counts_as_acknowledged(bodies: Path) -> None:
    answer: Answer = lambda number: reply(503 if number % 2 else 202)  # noqa: E731
    result, _ = run(against(answer, bodies, requests=10, connections=1))
    assert result.acked == [1, 3, 5, 7, 9]
    assert result.refused == [503] * 5


def test_a_server_that_hangs_up_is_an_error(bodies: Path) -> None:
    with pytest.raises(ConnectionError):
        run(against(lambda number: None if number == 5 else reply(202), bodies, requests=10, connections=2))


def test_an_even_stream_sends_at_its_rate(bodies: Path) -> None:
    result, got = run(against(lambda _: reply(202), bodies, seconds=0.3, rate=100.0, connections=3))
    assert len(result.acked) == len(got) == 30
    assert result.took_s >= 0.29


def test_guids_carry_the_time_as_those_of_github(clock: VirtualClock) -> None:
    told = guid_time(guid_of(guid_prefix(clock), 7))
    assert told is not None
    assert abs((told - clock.now()).total_seconds()) < 0.001
