"""What the agent of a drill talks to: says what the story wants, keeps what was reported (interfaces.md section 5)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from andon.model.disk import Deletion, DiskReport
from andon.model.wire import ClaimOrder, EndReport, JobWord, LeaseReport, SlotReport, SyncAnswer, SyncRequest
from andon.web.http_server import listening_socket, serving, url_of

TOKEN = "aht_of-the-drill"
_HELD_S = 5.0
"""How long a sync without news is held."""


class StandInControlPlane:
    """One host's control plane. Change what it says, then `tell`."""

    def __init__(self, held_s: float = _HELD_S) -> None:
        self.claims: dict[str, ClaimOrder] = {}
        self.runs: dict[str, str] = {}
        self.jobs: dict[str, JobWord] = {}
        self.policy: dict[str, Any] = {}
        self.slots: dict[int, SlotReport] = {}
        self.leases: dict[str, LeaseReport] = {}
        self.ends: dict[str, EndReport] = {}
        self.disk: dict[str, DiskReport] = {}
        """By mount."""
        self.deletions: dict[str, Deletion] = {}
        self.syncs = 0
        self.url = ""
        self._held_s, self._port = held_s, 0
        self._news = asyncio.Event()
        self._resync = True
        self._closing = False

    def tell(self) -> None:
        """Something new stands here: a sync that is held is answered."""
        self._news.set()

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncGenerator[None]:
        """Answers within the block, the second time at the same address."""
        listener = listening_socket("127.0.0.1", self._port)
        self._port, self.url = listener.getsockname()[1], url_of(listener)
        app = Starlette(routes=[Route("/agent/v1/sync", self._sync, methods=["POST"])])
        self._closing = False
        async with serving(app, listener, before_stop=self._close):
            yield

    def _close(self) -> None:
        self._closing = True
        self.tell()

    async def _sync(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            # The agent has news, and asks anew.
            return Response(status_code=204)
        asked = msgspec.json.decode(body, type=SyncRequest)
        self.syncs += 1
        resync, self._resync = self._resync and asked.slots is None, False
        if asked.slots is not None:
            self.slots = {slot.slot: slot for slot in asked.slots}
        if asked.leases is not None:
            self.leases = {lease.id: lease for lease in asked.leases}
        if asked.disk is not None:
            self.disk = {one.mount: one for one in asked.disk}
        self.ends |= {end.claim or "": end for end in asked.ended}
        self.deletions |= {one.id: one for one in asked.deletions}
        if not resync and not asked.ended and not asked.deletions and not self._orders() and not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._held_s)
        self._news.clear()
        answer = SyncAnswer(
            ack=asked.seq, resync=resync, claims=self._orders(), runs=self.runs, jobs=self.jobs, policy=self.policy
        )
        return Response(msgspec.json.encode(answer), media_type="application/json")

    def _orders(self) -> tuple[ClaimOrder, ...]:
        known = {slot.claim for slot in self.slots.values()} | self.ends.keys()
        return tuple(order for order in self.claims.values() if order.id not in known)
