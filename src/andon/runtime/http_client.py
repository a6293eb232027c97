"""JSON over HTTP for our own programs: the agent and the reading commands speak through this.

One of the two files that know the HTTP library (the other is `github/transport.py`).
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from andon.runtime.errors import AndonError


class Unreachable(AndonError):
    """The server did not answer."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer: its status, its raw body, and the headers by lower-case name."""

    status: int
    body: bytes
    headers: dict[str, str]

    def error_text(self) -> str:
        """The server's own sentence about what went wrong, or the status where it gave none."""
        try:
            error: dict[str, Any] = msgspec.json.decode(self.body)["error"]
            hint = error.get("hint")
            return f"{error['message']} {hint}".strip() if hint else str(error["message"])
        except (msgspec.MsgspecError, KeyError, TypeError):
            return f"HTTP status {self.status}"


class HttpClient:
    """Asks one server; keeps its connections. Raises Unreachable, never a library's exception."""

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
        verify = ssl.create_default_context(cafile=str(ca_file)) if ca_file else True
        self.base_url = base_url
        self._client = httpx2.AsyncClient(
            base_url=base_url, headers=headers, timeout=timeout, verify=verify, transport=transport
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
            raise Unreachable(f"{self.base_url} did not answer ({error or type(error).__name__}).") from error
        return Answer(status=answer.status_code, body=answer.content, headers=dict(answer.headers))

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
