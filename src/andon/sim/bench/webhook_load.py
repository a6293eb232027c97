"""The load maker: a program of its own that posts signed webhooks over kept connections.

Light on purpose, because it shares the machine with the server that it measures: requests are put
together before the clock starts, answers are looked at no closer than needed, and it tells what
processor time it took. The plan comes on standard input, the result goes to standard output.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import cast

import msgspec

from andon.github import signature
from andon.runtime.clock import Clock, SystemClock
from andon.runtime.fast_loop import fast_event_loop
from andon.sim.bench.webhook_bodies import Body

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. The secret stands here and not on a command line."""

    host: str
    port: int
    path: str
    secret: str
    bodies: str
    """A file with a JSON list of bodies; they are sent in turn, each time under a GUID of its own."""
    guid: str
    """Prefix of the GUIDs, 24 characters; the number of the request follows."""
    first: int = 0
    """Number of the first request."""
    connections: int = 32
    seconds: float | None = None
    """How long requests are begun; None: until `requests` were sent."""
    requests: int | None = None
    rate: float | None = None
    """Requests a second; None: each connection sends as soon as it was answered."""


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    acked: list[int]
    """Numbers of the requests answered with 202."""
    refused: list[int]
    """Other statuses that were answered."""
    seconds: list[float]
    """Of every request, from when it was due until its whole answer was here."""
    took_s: float
    cpu_s: float


def guid_of(prefix: str, number: int) -> str:
    """The GUID of one request."""
    return f"{prefix}{number:012x}"


class _Requests:
    """Whole requests but for their GUID, made before the clock starts."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._parts: list[tuple[bytes, bytes]] = []
        self.sent = 0
        for body in msgspec.json.decode(Path(plan.bodies).read_bytes(), type=list[Body]):
            head = (
                f"POST {plan.path} HTTP/1.1\r\nhost: {plan.host}:{plan.port}\r\naccept: */*\r\n"
                f"content-type: application/json\r\nuser-agent: GitHub-Hookshot/bench\r\n"
                f"x-github-event: {body.event}\r\nx-github-hook-id: 1\r\n"
                f"{signature.HEADER}: {signature.sign(plan.secret, body.body)}\r\n"
                f"content-length: {len(body.body)}\r\nx-github-delivery: "
            )
            self._parts.append((head.encode(), _END_OF_HEAD + body.body))

    def next(self) -> tuple[int, bytes]:
        """The next request and its number."""
        number = self._plan.first + self.sent
        head, rest = self._parts[number % len(self._parts)]
        self.sent += 1
        return number, head + guid_of(self._plan.guid, number).encode() + rest


class _Connection(asyncio.Protocol):
    """One kept connection with at most one request under way."""

    def __init__(self, on_answer: "Callable[[_Connection, int], None]", on_lost: Callable[[], None]) -> None:
        self._on_answer, self._on_lost = on_answer, on_lost
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.number = -1
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not by isinstance: the fast loop's transports do not inherit.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost()

    def send(self, number: int, request: bytes, due: float) -> None:
        assert self._transport is not None
        self.number, self.due = number, due
        self._transport.write(request)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data if self._buffer else data
        end = buffer.find(_END_OF_HEAD)
        if end < 0:
            return
        head = buffer[:end].lower()
        at = head.find(_LENGTH)
        length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(buffer) < end + len(_END_OF_HEAD) + length:
            return
        self._buffer = b""
        self._on_answer(self, int(head[9:12]))


class Load:
    """One burst, or one even stream."""

    def __init__(self, plan: LoadPlan, clock: Clock) -> None:
        self._plan, self._clock = plan, clock
        self._requests = _Requests(plan)
        self._idle: deque[_Connection] = deque()
        self._late: deque[float] = deque()
        self._open = 0
        self._began = 0.0
        self._over = asyncio.Event()
        self._begun = False
        """Whether every request has been begun, or begins with an answer."""
        self._lost = False
        self._acked: list[int] = []
        self._refused: list[int] = []
        self._seconds: list[float] = []

    async def run(self) -> LoadResult:
        """Sends, and waits for the last answer. Raises ConnectionError when the server hangs up."""
        plan, loop = self._plan, asyncio.get_running_loop()
        connections: list[_Connection] = []
        try:
            for _ in range(plan.connections):
                _, made = await loop.create_connection(self._new_connection, plan.host, plan.port)
                connections.append(made)
            self._idle.extend(connections)
            cpu, self._began = process_time(), self._clock.monotonic()
            await self._send_all()
            await self._over.wait()
            took, used = self._clock.monotonic() - self._began, process_time() - cpu
        finally:
            self._over.set()
            for connection in connections:
                connection.close()
        if self._lost:
            raise ConnectionError("The server closed a connection under load.")
        return LoadResult(acked=self._acked, refused=self._refused, seconds=self._seconds, took_s=took, cpu_s=used)

    async def _send_all(self) -> None:
        """Begins every request, or those after which each answer begins the next."""
        if self._plan.rate is not None:
            await self._evenly(self._plan.rate)
        else:
            for _ in range(len(self._idle)):
                self._due(self._began)
        self._begun = True
        self._check_over()

    def _new_connection(self) -> _Connection:
        return _Connection(self._answered, self._hung_up)

    async def _evenly(self, rate: float) -> None:
        number = 0
        while self._more(due := self._began + number / rate):
            await self._clock.sleep(due - self._clock.monotonic())
            self._due(due)
            number += 1

    def _more(self, now: float) -> bool:
        plan = self._plan
        if plan.requests is not None:
            return self._requests.sent < plan.requests
        return plan.seconds is not None and now < self._began + plan.seconds

    def _due(self, due: float) -> None:
        """A request is due: it goes out now, or on the next connection that is free."""
        if not self._more(due):
            return
        if not self._idle:
            self._late.append(due)
            return
        self._open += 1
        number, request = self._requests.next()
        self._idle.popleft().send(number, request, due)

    def _answered(self, connection: _Connection, status: int) -> None:
        now = self._clock.monotonic()
        self._seconds.append(now - connection.due)
        if status == 202:
            self._acked.append(connection.number)
        else:
            self._refused.append(status)
        self._open -= 1
        self._idle.append(connection)
        if self._plan.rate is None:
            self._due(now)
        elif self._late:
            self._due(self._late.popleft())
        self._check_over()

    def _check_over(self) -> None:
        if self._begun and not self._open and not self._late:
            self._over.set()

    def _hung_up(self) -> None:
        if not self._over.is_set():
            self._lost = True
            self._over.set()


def main() -> None:
    """Reads the plan, makes the load, and writes what came of it."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=LoadPlan)

    async def run() -> LoadResult:
        return await Load(plan, SystemClock()).run()

    with asyncio.Runner(loop_factory=fast_event_loop()) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(run())))


if __name__ == "__main__":
    main()
