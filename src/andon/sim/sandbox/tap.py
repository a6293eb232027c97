"""Listens to what is asked of the sandbox and what it answers, beside the road: nothing is changed.

The contract tests hold every exchange against GitHub's published description; `andon sandbox serve
--record FILE` writes them down, a line of JSON each. Of a caller's token only its kind is kept.
"""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from andon.runtime.errors import Refused

FAULTS_PLAYED = "andon.faults_played"
"""Where a call's faults stand in its ASGI scope."""
_OWN_PATHS = ("/_sandbox/", "/_runner/", "/_logs/")
_SECRET_HEADERS = frozenset({"authorization", "cookie"})


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One call of GitHub's API and its answer. Header names are lower-case."""

    method: str
    path: str
    query: str
    request_headers: dict[str, str]
    """Of `authorization` only its kind is kept: `bearer`, `bearer jwt`, or what stood first."""
    request_body: str
    status: int
    reply_headers: dict[str, str]
    reply_body: str
    faults: tuple[str, ...] = ()
    """Kinds of the faults that struck this call: its answer may be what GitHub never gives."""


Tap = Callable[[Exchange], None]


def recorder(path: Path) -> Tap:
    """A tap that appends each exchange to a file, as a line of JSON that is whole at once.

    Raises Refused when the file cannot be written.
    """
    try:
        path.open("ab").close()
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}. Name a file in a folder that is there.") from None

    def record(exchange: Exchange) -> None:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(exchange) + b"\n")

    return record


def recorded(path: Path) -> list[Exchange]:
    """What a `recorder` wrote."""
    return [msgspec.json.decode(line, type=Exchange) for line in path.read_bytes().splitlines()]


class Tapped:
    """ASGI middleware: tells `tap` of every call of GitHub's API, also of one that no route serves."""

    def __init__(self, app: ASGIApp, tap: Tap) -> None:
        self._app = app
        self._tap = tap

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_OWN_PATHS):
            await self._app(scope, receive, send)
            return
        # Read before the call is carried out: one that is refused at once is recorded whole, too.
        body = [await receive()]
        while body[-1]["type"] == "http.request" and body[-1].get("more_body", False):
            body.append(await receive())
        asked = b"".join(message.get("body", b"") for message in body)
        unread = deque(body)
        answered = bytearray()
        start: dict[str, Any] = {}

        async def hear() -> Message:
            return unread.popleft() if unread else await receive()

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                answered.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    # Before the last byte leaves: who reads the answer finds the exchange recorded.
                    self._tap(_exchange(scope, asked, start, bytes(answered)))
            await send(message)

        await self._app(scope, hear, tell)


def _exchange(scope: Scope, asked: bytes, start: dict[str, Any], answered: bytes) -> Exchange:
    return Exchange(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        request_headers=_headers(scope["headers"]),
        request_body=asked.decode(errors="replace"),
        status=start["status"],
        reply_headers=_headers(start.get("headers", [])),
        reply_body=answered.decode(errors="replace"),
        faults=tuple(scope.get(FAULTS_PLAYED, ())),
    )


def _headers(given: list[tuple[bytes, bytes]]) -> dict[str, str]:
    out = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in given}
    for name in _SECRET_HEADERS & out.keys():
        kind, _, secret = out[name].partition(" ")
        out[name] = f"{kind.lower()} jwt" if secret.startswith("eyJ") and secret.count(".") == 2 else kind.lower()
    return out
