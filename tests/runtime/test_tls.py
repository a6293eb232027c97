"""What a client says when a TLS connection does not come about: the reason, the place, what to do."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from andon.runtime.errors import Refused
from andon.runtime.http_client import HttpClient, Unreachable, Untrusted
from tests.support.certificates import DAY, Authority, Signed
from tests.support.names import need_localhost


@asynccontextmanager
async def a_server(tls: Signed | None) -> AsyncGenerator[int]:
    """Answers every request with 200; gives its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await reader.read(65536)
            good = asked.startswith(b"GET ")
            status = b"200 OK" if good else b"400 Bad Request"
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def asked(tls: Signed | None, *, scheme: str = "https", host: str = "127.0.0.1", ca_file: Path | None = None) -> int:
    """The status of one request. Raises what the client raises."""

    async def work() -> int:
        async with a_server(tls) as port:
            client = HttpClient(f"{scheme}://{host}:{port}", ca_file=ca_file)
            try:
                return (await client.request("GET", "/")).status
            finally:
                await client.close()

    return asyncio.run(work())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def day(ahead: timedelta) -> str:
    return f"{datetime.now(UTC) + ahead:%Y-%m-%d}"


def test_a_server_is_trusted_by_its_signer_and_by_its_own_certificate(authority: Authority) -> None:
    good = authority.sign()
    assert asked(good, ca_file=authority.file) == 200
    assert asked(good, ca_file=good.certificate) == 200


def test_an_expired_certificate_is_told_with_its_date(authority: Authority) -> None:
    late = authority.sign(begins=-3 * DAY, ends=-DAY)
    with pytest.raises(Untrusted, match=rf"certificate expired on {day(-DAY)} .*Renew it there") as said:
        asked(late, ca_file=authority.file)
    assert str(said.value).startswith("https://127.0.0.1:")


def test_one_that_is_not_valid_yet_points_to_the_clock(authority: Authority) -> None:
    early = authority.sign(begins=DAY / 2, ends=DAY)
    with pytest.raises(Untrusted, match=rf"not valid before {day(DAY / 2)} .*Check this machine's clock"):
        asked(early, ca_file=authority.file)


def test_an_unknown_signer_points_to_ca_file(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    with pytest.raises(Untrusted, match=r"nobody that this machine trusts signed .*ca_file"):
        asked(authority.sign(), ca_file=other.file)
    with pytest.raises(Untrusted, match=r"nobody that this machine trusts signed .*ca_file"):
        asked(authority.sign())


def test_another_name_is_told_with_the_names_that_it_has(authority: Authority) -> None:
    other = authority.sign(names=("ci.example.org", "10.1.2.3"))
    with pytest.raises(Untrusted, match=r'not for "127\.0\.0\.1" but for ci\.example\.org, 10\.1\.2\.3\. Use a name'):
        asked(other, ca_file=authority.file)


def test_a_name_is_told_with_the_address_that_the_certificate_has(authority: Authority) -> None:
    need_localhost()
    with pytest.raises(Untrusted, match=r'not for "localhost" but for 127\.0\.0\.1\.'):
        asked(authority.sign(), host="localhost", ca_file=authority.file)


def test_tls_to_a_plain_port_and_the_reverse(authority: Authority) -> None:
    with pytest.raises(Untrusted, match=r"speaks plain HTTP and no TLS\. Write http://"):
        asked(None, ca_file=authority.file)
    with pytest.raises(Untrusted, match=r"speaks TLS\. Write https:// instead of http://"):
        asked(authority.sign(), scheme="http")


def test_nobody_there_is_no_matter_of_trust(authority: Authority) -> None:
    async def work() -> None:
        client = HttpClient("https://127.0.0.1:1", ca_file=authority.file)
        try:
            await client.request("GET", "/")
        finally:
            await client.close()

    with pytest.raises(Unreachable) as said:
        asyncio.run(work())
    assert not isinstance(said.value, Untrusted)


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"no certificate\n", "holds no certificate")])
def test_a_ca_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Refused, match=rf"ca\.pem: the CA file cannot be used \(.*{words}"):
        HttpClient("https://127.0.0.1:1", ca_file=path)
