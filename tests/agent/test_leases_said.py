"""The sync says which workspaces there are until that is acknowledged, and passes on what became of their runs."""

import asyncio
from typing import Any

import msgspec

from andon.agent.backoff import Backoff
from andon.agent.sync_client import SyncClient
from andon.agent.timing import Timing
from andon.model.wire import EndReport, LeaseReport, SlotReport, SyncAnswer, SyncRequest
from andon.runtime.http_client import Answer, Unreachable
from andon.runtime.logging import logger
from andon.runtime.loop import Nudge
from andon.sim.loop_clock import LoopClock
from andon.sim.virtual_loop import VirtualLoop, running_loop

LEASE = LeaseReport(id="7-1-build-x", run_id=7, attempt=1, state="leased")


class _Slots:
    def __init__(self) -> None:
        self.changed = Nudge()

    def slots(self) -> tuple[SlotReport, ...]:
        return ()

    def ended(self) -> tuple[EndReport, ...]:
        return ()

    def acknowledge(self, ends: tuple[EndReport, ...]) -> None: ...

    def apply(self, answer: SyncAnswer) -> None: ...


class _Leases:
    def __init__(self) -> None:
        self.now: tuple[LeaseReport, ...] = ()
        self.heard: list[dict[str, str]] = []

    def reports(self) -> tuple[LeaseReport, ...]:
        return self.now

    def hear(self, answer: SyncAnswer) -> None:
        self.heard.append(answer.runs)


class _ControlPlane:
    """Takes reports; loses the first answer to one that names a lease, which is over by then."""

    base_url = "http://control-plane"

    def __init__(self, slots: _Slots, leases: _Leases) -> None:
        self._slots, self._leases = slots, leases
        self.sections: list[tuple[LeaseReport, ...] | None] = []
        self._lost = False

    async def request(self, method: str, path: str, *, body: bytes, timeout: float) -> Answer:
        del method, path, timeout
        report = msgspec.json.decode(body, type=SyncRequest)
        self.sections.append(report.leases)
        if report.leases and not self._lost:
            self._lost = True
            self._leases.now = ()
            self._slots.changed()
            raise Unreachable("the answer is lost")
        told: dict[str, Any] = {"v": 1, "ack": report.seq, "runs": {"7": "in_progress"} if self._lost else {}}
        return Answer(status=200, body=msgspec.json.encode(told), headers={})


def test_leases_are_said_until_they_are_acknowledged_and_then_no_more() -> None:
    async def story() -> tuple[_ControlPlane, _Leases]:
        clock, slots, leases = LoopClock(running_loop()), _Slots(), _Leases()
        control_plane = _ControlPlane(slots, leases)
        client = SyncClient(
            control_plane,  # pyright: ignore[reportArgumentType]
            slots,
            host="host-0",
            boot_id="boot-0",
            version="1.0.0",
            clock=clock,
            timing=Timing(),
            backoff=Backoff(first=0.5, longest=5.0, chance=lambda: 0.5),
            log=logger("agent"),
            leases=leases,
        )
        running = asyncio.create_task(client.run())
        await clock.sleep(10.0)
        leases.now = (LEASE,)
        slots.changed()
        await clock.sleep(10.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return control_plane, leases

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        control_plane, leases = runner.run(story())
    said = [section for section in control_plane.sections if section is not None]
    assert said == [(), (LEASE,), ()], "what it became is said, though it was that before"
    assert control_plane.sections[-1] is None
    assert leases.heard[-1] == {"7": "in_progress"}
