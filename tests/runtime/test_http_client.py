"""The bearer token goes to the server it is for: into no error text and through no proxy on the way home."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

from andon.github.call import Call, Priority
from andon.github.credentials import FixedToken
from andon.github.outcomes import Got
from andon.github.transport import Transport
from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused
from andon.runtime.http_client import HttpClient, Unreachable
from tests.support.names import need_localhost

TOKEN = "aht_secret-of-this-host"
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


@asynccontextmanager
async def a_listener(heard: list[bytes], host: str = "127.0.0.1") -> AsyncGenerator[int]:
    """Keeps what it is sent and answers 200; gives its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(asyncio.IncompleteReadError):
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        writer.close()

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(answer, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("token", ["ghp_half\nother", "ghp_half other", "\ufeffghp_half", "ghp_hälf", "ghp_half\x00"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(Refused, match=r"The token for http://127\.0\.0\.1:1 holds") as refused:
        HttpClient("http://127.0.0.1:1", token=token)
    assert "ghp_" not in str(refused.value)


@pytest.mark.parametrize("value", ["Bearer ghp_half\nother", "ghp_hälf"])
def test_an_error_repeats_no_header(value: str) -> None:
    async def work() -> str:
        async with a_listener([]) as port:
            client = HttpClient(f"http://127.0.0.1:{port}")
            try:
                with pytest.raises(Unreachable) as failed:
                    await client.request("GET", "/", headers={"authorization": value})
            finally:
                await client.close()
        return str(failed.value)

    assert "ghp_" not in asyncio.run(work())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "[::1]"])
def test_no_proxy_gets_what_is_meant_for_this_machine(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    if host == "localhost":
        need_localhost()
    proxied: list[bytes] = []
    heard: list[bytes] = []

    async def work() -> None:
        async with a_listener(proxied) as proxy, a_listener(heard, host.strip("[]")) as port:
            for name in PROXIES:
                monkeypatch.delenv(name, raising=False)
            for name in ("HTTP_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
            for base_url, path in ((f"http://{host}:{port}", "/"), ("", f"http://{host}:{port}/")):
                if not base_url and host == "127.0.0.2":
                    continue
                client = HttpClient(base_url, token=TOKEN)
                try:
                    assert (await client.request("GET", path)).status == 200
                finally:
                    await client.close()

    asyncio.run(work())
    assert proxied == []
    assert all(TOKEN.encode() in each for each in heard) and heard


def test_the_way_to_a_sandbox_on_this_machine_has_no_proxy_either(monkeypatch: pytest.MonkeyPatch) -> None:
    proxied: list[bytes] = []
    heard: list[bytes] = []

    async def work() -> None:
        async with a_listener(proxied) as proxy, a_listener(heard) as port:
            for name in PROXIES:
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy}")
            transport = Transport(f"http://127.0.0.1:{port}", FixedToken(TOKEN), SystemClock())
            try:
                call = Call(method="GET", path="/x", endpoint="GET /x", owner="acme", priority=Priority.ACT)
                assert isinstance(await transport.send(call), Got)
            finally:
                await transport.close()

    asyncio.run(work())
    assert (proxied, len(heard)) == ([], 1)


def test_a_proxy_of_the_environment_is_used_for_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    proxied: list[bytes] = []

    async def work() -> None:
        async with a_listener(proxied) as proxy:
            for name in PROXIES:
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy}")
            client = HttpClient("http://elsewhere.example")
            try:
                assert (await client.request("GET", "/")).status == 200
            finally:
                await client.close()

    asyncio.run(work())
    assert [each.split(b"\r\n")[0] for each in proxied] == [b"GET http://elsewhere.example/ HTTP/1.1"]
