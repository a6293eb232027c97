"""The agents' API: enrolment and sync (interfaces.md sections 2 and 5)."""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from andon.model.wire import (
    HOLD_SECONDS,
    MAX_SYNC_BYTES,
    WIRE_VERSION,
    EnrolAnswer,
    EnrolRequest,
    SyncAnswer,
    SyncRequest,
)
from andon.rules.names import HOST_NAME
from andon.runtime.loop import wait_for_nudge
from andon.store import hosts
from andon.store.apply_sync import apply_report, wishes
from andon.store.transaction import Tx
from andon.web.answers import Refusal, answer, decode, read_body
from andon.web.auth import is_loopback, require_host, same
from andon.web.control_plane import ControlPlane, control_plane

CLOCK_TOLERANCE_S = 300.0
"""A host whose clock is further off is refused at enrolment (interfaces.md section 10)."""
REPEAT_SECONDS = 0.25
"""How soon an order that was sent already, and not followed yet, is sent again."""
_SERVED_VERSIONS = frozenset({WIRE_VERSION - 1, WIRE_VERSION, WIRE_VERSION + 1})


async def enrol(request: Request) -> Response:
    """Exchanges the enrolment secret for a host token of this host alone."""
    control = control_plane(request)
    wanted: EnrolRequest = decode(await read_body(request, 64 * 1024), EnrolRequest)
    if not is_loopback(request):
        raise Refusal(401, "The enrolment secret is accepted from this machine only.", "Use `andon host add`.")
    if not same(wanted.token, control.enrolment_secret):
        raise Refusal(401, "The enrolment secret is wrong.", "Use the content of agent_token_file.")
    if not HOST_NAME.match(wanted.name):
        raise Refusal(422, f'"{wanted.name[:80]}" is no host name.', "Use letters, digits, dots, dashes; at most 63.")
    if wanted.clock is not None and wanted.clock.tzinfo is None:
        raise Refusal(422, "The host's clock is told without a time zone.", "Upgrade the agent.")
    if wanted.clock is not None:
        off = abs((wanted.clock - control.clock.now()).total_seconds())
        if off > CLOCK_TOLERANCE_S:
            raise Refusal(422, f"The host's clock is {off:.0f} s off.", "Set its clock, then enrol again.")
    token = f"aht_{control.new_secret()}"
    if not await control.store.write(lambda tx: hosts.enrol(tx, wanted.name, token)):
        raise Refusal(
            409, f"A host named {wanted.name} is enrolled already.", "Choose another name, or restore its host.token."
        )
    control.log.info("host.enrolled", host=wanted.name, version=wanted.version)
    return answer(EnrolAnswer(host_token=token), 201)


class _Seat:
    """What this process remembers of one agent's syncs: the newest one, and what it was told."""

    def __init__(self) -> None:
        self.boot_id = ""
        self.seq = -1
        self.told = b""


class AgentApi:
    """The sync endpoint; holds a request until there is something new to say."""

    def __init__(self) -> None:
        self._seats: dict[str, _Seat] = {}

    async def sync(self, request: Request) -> Response:
        """Applies the report, then answers with the control plane's wish, held up to 25 s."""
        control = control_plane(request)
        name = await require_host(request)
        report: SyncRequest = decode(await read_body(request, MAX_SYNC_BYTES), SyncRequest)
        if report.host != name:
            raise Refusal(403, f"This token belongs to host {name}, not to {report.host[:80]}.")
        if report.v not in _SERVED_VERSIONS:
            raise Refusal(426, f"Wire version {report.v} is not served.", "Upgrade the agent or the control plane.")
        seat = self._seats.setdefault(name, _Seat())
        if report.boot_id == seat.boot_id and report.seq <= seat.seq:
            return Response(status_code=204)
        resync = report.slots is None and report.boot_id != seat.boot_id
        if report.boot_id != seat.boot_id:
            seat.told = b""
        seat.boot_id, seat.seq = report.boot_id, report.seq
        nudge = control.host_nudge(name)
        nudge()
        known = await control.store.write(lambda tx: _apply(tx, control, name, report))
        resync = resync and not known
        urgent = bool(report.ended or report.hooks or report.deletions or resync)
        return await self._hold(request, control, seat, report, urgent=urgent, resync=resync)

    async def _hold(
        self, request: Request, control: ControlPlane, seat: _Seat, report: SyncRequest, *, urgent: bool, resync: bool
    ) -> Response:
        nudge = control.host_nudge(report.host)
        deadline = control.clock.monotonic() + HOLD_SECONDS
        policy: dict[str, Any] = {"public_url": control.public_url}
        while True:
            seen = nudge.version
            if control.stopping or (seat.boot_id, seat.seq) != (report.boot_id, report.seq):
                return Response(status_code=204)
            now = control.clock.now()
            wish = await control.store.read(
                lambda connection, now=now: wishes(
                    connection, report.host, now=now, ack=report.seq, resync=resync, policy=policy
                )
            )
            digest = _digest(wish)
            left = deadline - control.clock.monotonic()
            orders = bool(wish.claims or wish.stop)
            if urgent or digest != seat.told or left <= 0:
                seat.told = digest
                return answer(wish)
            if orders:
                # Told already and not followed yet: the answer may have been lost, so say it again soon.
                left = min(left, REPEAT_SECONDS)
            woken = await _wait(request, control, seen, nudge_host=report.host, seconds=left)
            if not woken and orders:
                return answer(wish)


async def _wait(request: Request, control: ControlPlane, seen: int, *, nudge_host: str, seconds: float) -> bool:
    """Waits for news of this host; a client that went away ends the wait."""
    gone = asyncio.ensure_future(_gone(request))
    waiting = asyncio.ensure_future(wait_for_nudge(control.host_nudge(nudge_host), seen, control.clock, seconds))
    try:
        await asyncio.wait({gone, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            raise Refusal(400, "The agent went away.")
        return waiting.result()
    finally:
        for task in (gone, waiting):
            task.cancel()
        await asyncio.gather(gone, waiting, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _apply(tx: Tx, control: ControlPlane, name: str, report: SyncRequest) -> bool:
    """Applies the report; says whether this start of the agent was known before it."""
    host = hosts.get_host(tx.connection, name)
    if host is None:
        raise Refusal(401, "This host was removed.", "Enrol it again.")
    if host.boot_id == report.boot_id and report.seq <= host.seq:
        return True
    apply_report(tx, host, report, {pool.name: pool for pool in control.config.pool})
    return host.boot_id == report.boot_id


def _digest(wish: SyncAnswer) -> bytes:
    return msgspec.json.encode((wish.intent, wish.claims, wish.stop, wish.runs, wish.probes))
