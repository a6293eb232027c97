"""JSON over HTTP for our own programs: the agent and the reading commands speak through this.

One of the two files that know the HTTP library (the other is `github/transport.py`).
"""

import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from andon.runtime.errors import AndonError, Refused
from andon.runtime.header_text import odd_in_header
from andon.runtime.redaction import HIDDEN
from andon.runtime.tls import client_context, tls_fault

_NEVER_PROXIED = ("all://127.0.0.1", "all://localhost", "all://[::1]")


class Unreachable(AndonError):
    """The server did not answer."""


class Untrusted(Unreachable):
    """The server is there, and no connection that could be trusted came about. Only a person can help."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer: its status, its raw body, and the headers by lower-case name."""

    status: int
    body: bytes
    headers: dict[str, str]

    def error_text(self) -> str:
        """The server's own sentence about what went wrong, or the status where it gave none."""
        message, hint = self.error_parts()
        return f"{message} {hint}".strip() if hint else message

    def error_parts(self) -> tuple[str, str | None]:
        """What went wrong, and what the server advises, if it does."""
        try:
            error: dict[str, Any] = msgspec.json.decode(self.body)["error"]
            hint = error.get("hint")
            return str(error["message"]), str(hint) if hint else None
        except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
            return f"HTTP status {self.status}", None


class HttpClient:
    """Asks one server; keeps its connections. Raises Unreachable, never a library's exception.

    Making one raises Refused for a CA file that cannot be used, and for a token that no header can carry.
    A proxy of the environment (HTTP_PROXY and the like) gets nothing that is meant for this machine.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        ca_file: Path | None = None,
        transport: Any = None,
    ) -> None:
        odd = odd_in_header(token) if token else None
        if odd is not None:
            raise Refused(f"The token for {base_url} holds {odd}. Write the token alone into its file, as one line.")
        self._token = token or ""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.base_url = base_url
        self._trusted = client_context(ca_file)
        self._answered = False
        self._client = httpx2.AsyncClient(
            base_url=base_url,
            headers=headers,
            timeout=timeout,
            verify=self._trusted or True,
            transport=transport,
            mounts=past_proxies(base_url),
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: dict[str, str] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends one request; `body` is JSON that is already encoded, unless `headers` say otherwise."""
        sent = {"content-type": "application/json"} if body is not None else {}
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        try:
            answer = await self._client.request(
                method,
                path,
                content=body,
                params=query,
                headers=sent,
                timeout=timeout if timeout is not None else httpx2.USE_CLIENT_DEFAULT,
            )
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeEncodeError) as error:
            fault = await self._fault(error)
            if fault is not None:
                raise Untrusted(fault) from error
            raise Unreachable(f"{self.base_url} did not answer ({self._say(error)}).") from error
        self._answered = True
        return Answer(status=answer.status_code, body=answer.content, headers=dict(answer.headers))

    async def _fault(self, error: Exception) -> str | None:
        """What is wrong with TLS there; only a server that never answered us is asked for it."""
        if self._answered or not self.base_url:
            return None
        hung_up = isinstance(error, (httpx2.RemoteProtocolError, httpx2.ReadError))
        if hung_up or (isinstance(error, httpx2.ConnectError) and self.base_url.startswith("https:")):
            return await tls_fault(self.base_url, error, self._trusted)
        return None

    def _say(self, error: Exception) -> str:
        """The error's text, in which the library may have repeated what we sent."""
        text = str(error)
        if not text or isinstance(error, (httpx2.LocalProtocolError, UnicodeEncodeError)):
            return type(error).__name__
        return text.replace(self._token, HIDDEN) if self._token else text

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def past_proxies(base_url: str) -> dict[str, Any]:
    """The addresses of this machine, as the library takes them, each without a proxy."""
    with suppress(ValueError):
        host = urlsplit(base_url).hostname or ""
        if host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback:
            return dict.fromkeys((f"all://[{host}]" if ":" in host else f"all://{host}", *_NEVER_PROXIED))
    return dict.fromkeys(_NEVER_PROXIED)
