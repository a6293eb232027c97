"""The agents' API: the sync (interfaces.md section 5)."""

import asyncio
from collections import Counter

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from andon.model.host_policy import policy_for_hosts
from andon.model.rails import Rail
from andon.model.wire import HOLD_SECONDS, MAX_SYNC_BYTES, SEQ_HEADER, WIRE_VERSION, SyncAnswer, SyncRequest
from andon.rules.rails import tell
from andon.runtime.loop import wait_for_nudge
from andon.store import adopted_slots, hosts, rail_gate
from andon.store.apply_sync import apply_report, note_withheld_stops, wishes
from andon.store.host_intents import ClockMoved, follow_clock
from andon.store.transaction import Tx
from andon.web.answers import Refusal, answer, decode, read_body
from andon.web.auth import bearer, gone, require_host
from andon.web.control_plane import ControlPlane, control_plane

REPEAT_SECONDS = 0.25
"""How soon an order that was sent already, and not followed yet, is sent again."""
_SERVED_VERSIONS = frozenset({WIRE_VERSION - 1, WIRE_VERSION, WIRE_VERSION + 1})


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
            return _unread(seat.seq)
        resync = report.slots is None and report.boot_id != seat.boot_id
        if report.boot_id != seat.boot_id:
            seat.told = b""
        seat.boot_id, seat.seq = report.boot_id, report.seq
        nudge = control.host_nudge(name)
        nudge()
        applied = await control.store.write(lambda tx: _apply(tx, control, name, report))
        if isinstance(applied, int):
            # Another replica, or we before our start, read a newer one. An `ack` here would lose its ends.
            if (seat.boot_id, seat.seq) == (report.boot_id, report.seq):
                seat.seq = applied
            return _unread(applied)
        known, clock, deleted = applied
        for path_class, count in deleted.items():
            for _ in range(count):
                control.metrics.count("andon_guard_deletions_total", **{"class": path_class})
        if clock is not None:
            tell(control.metrics.count, clock.admission)
            control.log.warning("host.clock", host=name, reason=clock.reason)
        resync = resync and not known
        urgent = bool(report.ended or report.hooks or report.deletions or resync)
        return await self._hold(request, control, seat, report, urgent=urgent, resync=resync)

    async def _hold(
        self, request: Request, control: ControlPlane, seat: _Seat, report: SyncRequest, *, urgent: bool, resync: bool
    ) -> Response:
        nudge = control.host_nudge(report.host)
        deadline = control.clock.monotonic() + HOLD_SECONDS
        policy = policy_for_hosts(control.public_url, control.config.pool)
        fleet = control.config.rails.mode
        token = bearer(request) or ""

        def look(connection: Connection) -> SyncAnswer | None:
            if hosts.host_of_token(connection, token) != report.host:
                return None
            modes = rail_gate.modes_of(connection, (Rail.RESCUE, Rail.GUARD), fleet)
            slots = adopted_slots.pools_on(connection, report.host)
            told = msgspec.structs.replace(policy, guard=modes[Rail.GUARD], slot_pools=slots)
            return wishes(
                connection,
                report.host,
                now=control.clock.now(),
                ack=report.seq,
                resync=resync,
                policy=msgspec.to_builtins(told),
                mode=modes[Rail.RESCUE],
            )

        while True:
            seen = nudge.version
            if control.stopping:
                return Response(status_code=204)
            if (seat.boot_id, seat.seq) != (report.boot_id, report.seq):
                return _unread(seat.seq) if seat.boot_id == report.boot_id else Response(status_code=204)
            wish = await control.store.read(look)
            if wish is None:
                # Removed while it was held: says so.
                await require_host(request)
                return Response(status_code=204)
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
    nudge = control.host_nudge(nudge_host)
    left = asyncio.ensure_future(_left(request))
    left.add_done_callback(lambda leaving: None if leaving.cancelled() else nudge())
    try:
        woken = await wait_for_nudge(nudge, seen, control.clock, seconds)
        if left.done():
            raise Refusal(400, "The agent went away.")
        return woken
    finally:
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _unread(newest: int) -> Response:
    """204: a newer sync than this one is known; an agent that made none goes on above its number."""
    return Response(status_code=204, headers={SEQ_HEADER: str(newest)})


def _apply(
    tx: Tx, control: ControlPlane, name: str, report: SyncRequest
) -> tuple[bool, ClockMoved | None, Counter[str]] | int:
    """Applies the report. Says whether this start of the agent was known before it, what its clock changed of what
    is intended with the host, if anything, and how many deletions it told newly, by class.

    The stored `seq` when that is as high: then nothing was applied.
    """
    host = hosts.get_host(tx.connection, name)
    if host is None:
        raise gone(None)
    if host.boot_id == report.boot_id and report.seq <= host.seq:
        return host.seq
    deleted = apply_report(tx, host, report, {pool.name: pool for pool in control.config.pool})
    fleet = control.config.rails.mode
    if rail_gate.mode_of(tx.connection, Rail.RESCUE, fleet) == "observe":
        for _ in range(note_withheld_stops(tx, name)):
            control.metrics.count("andon_automatic_acts_total", rail=Rail.RESCUE.value, mode="observe")
    clock = follow_clock(tx, host, report, fleet=fleet)
    return host.boot_id == report.boot_id, clock, deleted


def _digest(wish: SyncAnswer) -> bytes:
    return msgspec.json.encode((wish.intent, wish.claims, wish.stop, wish.runs, wish.jobs, wish.probes))
