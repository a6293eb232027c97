"""Moves the sandbox on: does what is due, posts deliveries, sleeps until the next is due.

Deliveries start in order and overlap, as GitHub's do; nobody is promised an order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from andon.runtime.http_client import HttpClient, Unreachable
from andon.runtime.loop import wait_for_nudge
from andon.sim.sandbox.delivery_records import Outgoing
from andon.sim.sandbox.github import SandboxGitHub

Deliver = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]
"""Posts a delivery and says the receiver's status; raises Unreachable or TimeoutError."""

_LONGEST_WAIT_S = 3600.0
DELIVERY_TIMEOUT_S = 10.0
"""github-contract.md section 2."""


class Pump:
    """Runs next to the application; `concurrency` deliveries are on their way at a time."""

    def __init__(self, sandbox: SandboxGitHub, deliver: Deliver, *, concurrency: int = 8) -> None:
        self._sandbox = sandbox
        self._deliver = deliver
        self._concurrency = concurrency
        self._on_their_way: set[asyncio.Future[None]] = set()

    async def run(self) -> None:
        """Runs until cancelled; deliveries on their way are given up then."""
        sandbox = self._sandbox
        try:
            while True:
                seen = sandbox.changed.version
                sandbox.tick()
                self._start_deliveries()
                due = sandbox.next_due()
                wait = _LONGEST_WAIT_S if due is None else (due - sandbox.clock.now()).total_seconds()
                if wait > 0:
                    await wait_for_nudge(sandbox.changed, seen, sandbox.clock, min(wait, _LONGEST_WAIT_S))
        finally:
            for sending in self._on_their_way:
                sending.cancel()
            await asyncio.gather(*self._on_their_way, return_exceptions=True)

    def _start_deliveries(self) -> None:
        for outgoing in self._sandbox.hooks.take(self._concurrency - len(self._on_their_way)):
            sending = asyncio.ensure_future(self._send(outgoing))
            self._on_their_way.add(sending)
            sending.add_done_callback(self._ended)

    def _ended(self, sending: "asyncio.Future[None]") -> None:
        self._on_their_way.discard(sending)
        self._sandbox.changed()

    async def _send(self, outgoing: Outgoing) -> None:
        clock = self._sandbox.clock
        began = clock.monotonic()
        try:
            code = await self._deliver(outgoing.url, outgoing.headers, outgoing.body)
            status = "OK" if 200 <= code < 300 else f"Invalid HTTP Response: {code}"
        except TimeoutError:
            code, status = 504, "timed out"
        except Unreachable:
            code, status = 502, "failed to connect to host"
        self._sandbox.hooks.report(outgoing.send, code, status, round(clock.monotonic() - began, 3))


class HttpDelivery:
    """Posts deliveries over HTTP; GitHub waits 10 s for an answer."""

    def __init__(self) -> None:
        self._client = HttpClient("", timeout=DELIVERY_TIMEOUT_S)

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        async with asyncio.timeout(DELIVERY_TIMEOUT_S):
            answer = await self._client.request("POST", url, body=body, headers=headers)
        return answer.status

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()
