"""JSON over HTTP for our own programs: the agent and the reading commands speak through this.

One of the two files that know the HTTP library (the other is `github/transport.py`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from andon.runtime.errors import AndonError
from andon.runtime.tls import client_context, tls_fault


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

    Making one raises Refused for a CA file that cannot be used.
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
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.base_url = base_url
        self._trusted = client_context(ca_file)
        self._answered = False
        self._client = httpx2.AsyncClient(
            base_url=base_url, headers=headers, timeout=timeout, verify=self._trusted or True, transport=transport
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
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            fault = await self._fault(error)
            if fault is not None:
                raise Untrusted(fault) from error
            raise Unreachable(f"{self.base_url} did not answer ({error or type(error).__name__}).") from error
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

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
