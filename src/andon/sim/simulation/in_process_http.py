"""HTTP without sockets: one program's request is carried to another's application on the same loop."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from andon.github.in_process import Carry
from andon.runtime.http_client import Answer, Unreachable
from andon.sim.simulation.processes import Process

App = Callable[[Any, Any, Any], Any]


class Address:
    """Where programs listen, one behind the other as behind a balancer; nobody may be there, and the way may be cut."""

    def __init__(self) -> None:
        self._served: list[tuple[App, Process]] = []
        self._turn = 0
        self.cut: set[str] = set()
        """Names of callers whose packets do not arrive."""
        self.deaf: set[str] = set()
        """Names of callers whose packets arrive, and whom no answer reaches: cut in one direction."""

    def serve(self, app: App, process: Process) -> None:
        """From now on this application answers here too, as a part of that process."""
        self._served = [*self._living(), (app, process)]

    def next(self) -> tuple[App, Process] | None:
        """Whose turn it is among those that live; one that stands still takes calls as well as any."""
        living = self._living()
        self._turn += 1
        return living[self._turn % len(living)] if living else None

    def _living(self) -> list[tuple[App, Process]]:
        return [each for each in self._served if each[1].alive]


class InProcessHttp:
    """What `HttpClient` does for a program, towards one address. `caller` names the program."""

    def __init__(self, address: Address, base_url: str, *, caller: str, token: str | None = None) -> None:
        self._address, self._caller = address, caller
        self.base_url = base_url
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

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
        """One request and its answer. Raises Unreachable as the real client does."""
        sent = {"content-type": "application/json", **self._headers, **(headers or {})}
        try:
            async with asyncio.timeout(30.0 if timeout is None else timeout):
                return await self._carry(method, path, body or b"", sent)
        except TimeoutError:
            raise Unreachable(f"{self.base_url} does not answer.") from None

    async def _carry(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        address = self._address
        if self._caller in address.cut:
            # Nothing comes back, not even a refusal.
            await asyncio.get_running_loop().create_future()
        if (found := address.next()) is None:
            raise Unreachable(f"{self.base_url}: connection refused.")
        app, process = found
        exchange = _Exchange(body)
        serving = process.start(app(_scope(method, path, headers), exchange.receive, exchange.send))
        try:
            await asyncio.wait({serving})
        finally:
            exchange.caller_left()
        if self._caller in address.cut or self._caller in address.deaf:
            await asyncio.get_running_loop().create_future()
        if exchange.status is None:
            raise Unreachable(f"{self.base_url}: the connection broke.")
        return Answer(status=exchange.status, body=bytes(exchange.answer), headers=exchange.headers)


class _Exchange:
    """One request as the application sees it, and what it sends back."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._left = asyncio.get_running_loop().create_future()
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.answer = bytearray()

    async def receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.shield(self._left)
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            self.answer += message.get("body", b"")

    def caller_left(self) -> None:
        if not self._left.done():
            self._left.set_result(None)


def carry_to(app: App, is_cut: Callable[[], bool]) -> Carry:
    """Carries the GitHub room's requests to the sandbox's application, unless the way is cut."""

    async def carry(
        method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes] | None:
        if is_cut():
            return None
        exchange = _Exchange(body)
        path, _, query = target.partition("?")
        try:
            await app(_scope(method, path, headers, query), exchange.receive, exchange.send)
        finally:
            exchange.caller_left()
        return None if exchange.status is None else (exchange.status, exchange.headers, bytes(exchange.answer))

    return carry


def _scope(method: str, path: str, headers: Mapping[str, str], query: str = "") -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
