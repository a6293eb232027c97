"""The way to GitHub: what is sent, what each answer becomes, and that nothing is raised or leaked."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from andon.github.call import Call, Priority
from andon.github.credentials import FixedToken
from andon.github.outcomes import Failed, FailureClass, Got
from andon.github.transport import Transport
from andon.runtime.clock import SystemClock
from tests.github.peer import API, Peer, http_time, quota, reply

LIST = "/repos/acme/app/actions/runs"


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def call(path: str = LIST, **more: Any) -> Call:
    return Call(
        **{"method": "GET", "path": path, "endpoint": "GET /runs", "owner": "acme", "priority": Priority.ACT, **more}
    )


async def failed(peer: Peer, **more: Any) -> Failed:
    got = await peer.transport.send(call(**more))
    assert isinstance(got, Failed), got
    return got


async def got(peer: Peer, **more: Any) -> Got:
    answer = await peer.transport.send(call(**more))
    assert isinstance(answer, Got), answer
    return answer


def test_every_request_says_who_asks_and_which_version_is_meant() -> None:
    async def story() -> None:
        peer = Peer(reply(body={}))
        await got(peer, query={"status": "queued"})
        (asked,) = peer.asked
        assert asked.headers["authorization"] == "Bearer s3cret"
        assert asked.headers["x-github-api-version"] == "2022-11-28"
        assert asked.headers["accept"] == "application/vnd.github+json"
        assert asked.headers["user-agent"].startswith("andon/")
        assert peer.lines == [f"GET {LIST}?status=queued"]
        assert peer.counted == [("GET /runs", "200")]

    run(story())


def test_no_call_is_sent_inside_a_retry_after_for_any_owner_of_the_token() -> None:
    async def story() -> None:
        peer = Peer(reply(429, {"message": "slow down"}, retry_after="60"), reply(body={}))
        await failed(peer)
        peer.clock.advance(59)
        held = await failed(peer, owner="other")
        assert (held.kind, held.local) == (FailureClass.RATE_LIMITED, True)
        assert len(peer.asked) == 1
        peer.clock.advance(1)
        await got(peer, owner="other")

    run(story())


def test_a_server_error_that_names_a_time_is_obeyed_too() -> None:
    async def story() -> None:
        peer = Peer(reply(503, {"message": "down"}, retry_after="30"), reply(body={}))
        assert (await failed(peer)).kind is FailureClass.RETRY_LATER
        assert (await failed(peer)).local
        peer.clock.advance(30)
        await got(peer)

    run(story())


def test_a_spent_quota_waits_for_githubs_reset_by_githubs_clock() -> None:
    async def story() -> None:
        peer = Peer(reply(body={}))
        theirs = peer.clock.now() + timedelta(hours=3)
        said = quota(5000, 0, theirs + timedelta(minutes=10))
        peer.answers = [reply(403, {"message": "API rate limit exceeded"}, date=http_time(theirs), **said), reply()]
        limited = await failed(peer)
        assert limited.until == peer.clock.now() + timedelta(minutes=10)
        peer.clock.advance(599)
        await failed(peer)
        assert len(peer.asked) == 1
        peer.clock.advance(1)
        await got(peer)

    run(story())


def test_a_fixed_tokens_401_is_a_finding_and_no_loop() -> None:
    async def story() -> None:
        peer = Peer(reply(401, {"message": "Bad credentials"}))
        refused = await failed(peer)
        assert (refused.kind, refused.local) == (FailureClass.UNAUTHORISED, False)
        for _ in range(5):
            assert (await failed(peer)).kind is FailureClass.UNAUTHORISED
        assert len(peer.asked) == 1
        (view,) = peer.github.budgets()
        assert view.degraded is not None and "Bad credentials" in view.degraded
        peer.clock.advance(15)
        await failed(peer)
        assert len(peer.asked) == 2

    run(story())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, FailureClass.MALFORMED),
        (304, FailureClass.MALFORMED),
        (400, FailureClass.BUG),
        (403, FailureClass.FORBIDDEN),
        (404, FailureClass.GONE),
        (408, FailureClass.RETRY_LATER),
        (409, FailureClass.CONFLICT),
        (410, FailureClass.GONE),
        (418, FailureClass.BUG),
        (422, FailureClass.INVALID),
        (451, FailureClass.BUG),
        (500, FailureClass.RETRY_LATER),
        (502, FailureClass.RETRY_LATER),
        (599, FailureClass.RETRY_LATER),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message": "no"}', b"\xff\xfe", b"[" * 100_000])
def test_every_status_with_every_body_is_one_failure(status: int, kind: FailureClass, body: bytes) -> None:
    async def story() -> None:
        peer = Peer(reply(status, body))
        listed = await peer.github.runs("acme/app", "queued")
        assert isinstance(listed, Failed) and listed.kind is kind

    run(story())


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ConnectError("refused"),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("cut"),
        httpx2.InvalidURL("odd"),
        OSError("no network"),
        # The library writes what it refuses, escaped.
        httpx2.LocalProtocolError("Illegal header value b'Bearer s3c\\nret'"),
        httpx2.ReadError("while sending Bearer s3cret"),
    ],
)
def test_no_answer_is_a_failure_that_names_no_secret(error: Exception) -> None:
    async def story() -> None:
        def answer(request: httpx2.Request) -> httpx2.Response:
            raise error

        peer = Peer(answer)
        lost = await failed(peer)
        assert lost.kind is FailureClass.RETRY_LATER
        assert "s3c" not in lost.message
        assert peer.counted == [("GET /runs", "none")]

    run(story())


def test_a_renamed_repository_is_followed_with_the_token_and_the_same_request() -> None:
    async def story() -> None:
        peer = Peer(reply(307, location=f"{API}/repositories/5/x"), reply(201, {}))
        await got(peer, method="POST", body=b'{"a": 1}')
        assert peer.lines == [f"POST {LIST}", "POST /repositories/5/x"]
        assert peer.body == {"a": 1}
        assert peer.asked[1].headers["authorization"] == "Bearer s3cret"

    run(story())


@pytest.mark.parametrize(
    ("location", "method", "elsewhere"),
    [
        (f"{API}{LIST}", "GET", False),
        ("https://elsewhere.test/x", "GET", False),
        ("https://elsewhere.test/x", "POST", True),
        ("http://elsewhere.test/x", "GET", True),
        ("ftp://elsewhere.test/x", "GET", True),
        ("https://[", "GET", True),
        ("https://elsewhere.test:99999/x", "GET", True),
        ("", "GET", True),
    ],
)
def test_redirects_that_loop_or_leave_are_out_of_contract(location: str, method: str, elsewhere: bool) -> None:
    async def story() -> None:
        peer = Peer(reply(302, location=location))
        wrong = await failed(peer, method=method, elsewhere=elsewhere)
        assert wrong.kind is FailureClass.MALFORMED
        assert len(peer.asked) <= 6
        assert all(each.url.host == "api.github.test" for each in peer.asked)

    run(story())


def test_a_log_is_fetched_from_elsewhere_without_the_token() -> None:
    async def story() -> None:
        peer = Peer(reply(302, location="https://logs.test/abc?sig=1"), reply(200, b"line one\n"))
        assert await peer.github.job_log("acme/app", 7) == b"line one\n"
        assert "authorization" not in peer.asked[1].headers
        assert peer.lines[1] == "GET /abc?sig=1"

    run(story())


@pytest.mark.parametrize(
    ("status", "kind"), [(403, FailureClass.RETRY_LATER), (404, FailureClass.GONE), (500, FailureClass.RETRY_LATER)]
)
def test_the_log_servers_refusal_is_not_githubs(status: int, kind: FailureClass) -> None:
    async def story() -> None:
        refused = reply(status, b"<Error>expired</Error>", retry_after="999")
        peer = Peer(reply(302, location="https://logs.test/abc"), refused)
        log = await peer.github.job_log("acme/app", 7)
        assert isinstance(log, Failed) and log.kind is kind
        assert peer.github.budgets()[0].degraded is None

    run(story())


def test_a_log_can_be_taken_piece_by_piece() -> None:
    async def story() -> None:
        peer = Peer(reply(302, location="https://logs.test/abc"), reply(200, b"x" * 500_000))
        pieces: list[bytes] = []
        saved = await peer.github.save_job_log("acme/app", 7, pieces.append)
        assert isinstance(saved, Got) and saved.body == b""
        assert b"".join(pieces) == b"x" * 500_000

    run(story())


def test_a_failures_body_is_no_part_of_a_log() -> None:
    async def story() -> None:
        peer = Peer(reply(404, {"message": "Not Found"}))
        pieces: list[bytes] = []
        saved = await peer.github.save_job_log("acme/app", 7, pieces.append)
        assert isinstance(saved, Failed) and saved.message == "Not Found" and pieces == []

    run(story())


def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    async def story() -> None:
        read = 0

        async def endless() -> Any:
            nonlocal read
            while True:
                read += 1
                yield b" " * 65_536

        peer = Peer(lambda request: httpx2.Response(200, content=endless()))
        large = await failed(peer)
        assert large.kind is FailureClass.MALFORMED and "bytes" in large.message
        assert read <= 32 * 16 + 2

    run(story())


def test_a_cancelled_call_gives_its_place_in_the_budget_back() -> None:
    async def story() -> None:
        asked = asyncio.Event()

        async def never(request: httpx2.Request) -> httpx2.Response:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        peer = Peer(never)
        peer.answers = [reply(body={}, **quota(100, 50, peer.clock.now() + timedelta(hours=1))), never]
        await got(peer)
        waiting = asyncio.create_task(peer.transport.send(call()))
        await asked.wait()
        assert peer.github.budgets()[0].remaining == 49
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        # It was sent, so it may have been counted: not given back, and not lost twice.
        assert peer.github.budgets()[0].remaining == 49
        peer.clock.advance(3600)
        assert peer.github.budgets()[0].remaining == 100

    run(story())


def test_at_most_ninety_requests_are_under_way_with_one_credential() -> None:
    async def story() -> None:
        under_way, most = 0, 0
        go = asyncio.Event()

        async def slow(request: httpx2.Request) -> httpx2.Response:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            if under_way == 90:
                go.set()
            await go.wait()
            under_way -= 1
            return reply(body={})

        peer = Peer(slow)
        await asyncio.gather(*(peer.transport.send(call()) for _ in range(150)))
        assert most == 90 and len(peer.asked) == 150

    run(story())


def test_graphql_is_asked_beside_rest_and_above_it_on_enterprise_server() -> None:
    async def story() -> None:
        for api, url in (
            ("https://api.github.test", "https://api.github.test/graphql"),
            ("https://ghe.test/api/v3/", "https://ghe.test/api/graphql"),
        ):
            peer = Peer(reply(body={"data": {"nodes": [None]}}), api=api)
            await peer.github.check_states("acme", ["CR_1"])
            assert str(peer.asked[0].url) == url

    run(story())


def test_the_clocks_difference_is_known_after_the_first_answer() -> None:
    async def story() -> None:
        peer = Peer(reply())
        assert peer.github.clock_skew() is None
        peer.answers = [reply(body={}, date=http_time(peer.clock.now() - timedelta(minutes=10)))]
        await got(peer)
        skew = peer.github.clock_skew()
        assert skew is not None and abs(skew.ahead_s - 600) <= skew.uncertain_s + 0.5

    run(story())


def test_over_real_sockets_a_cut_body_is_no_answer() -> None:
    """A peer that promises more than it sends, and one that sends no HTTP at all."""

    async def story() -> None:
        answers = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + json.dumps({"total_count": 0}).encode(),
            b"SSH-2.0-OpenSSH\r\n",
            b"",
        ]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answers.pop(0))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport = Transport(f"http://127.0.0.1:{port}", FixedToken("x"), SystemClock())
        try:
            for _ in range(3):
                lost = await transport.send(call())
                assert isinstance(lost, Failed) and lost.kind is FailureClass.RETRY_LATER, lost
        finally:
            await transport.close()
            server.close()
            await server.wait_closed()

    run(story())


def test_times_are_aware(clock: Any) -> None:
    async def story() -> None:
        peer = Peer(reply(body={}, date="Sun, 22 Nov 2026 10:00:00 GMT"))
        assert (await got(peer)).at == datetime(2026, 11, 22, 10, tzinfo=UTC)

    run(story())
