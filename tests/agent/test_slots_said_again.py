"""What the agent said and nobody acknowledged is said again, also when it has become what it was before."""

import asyncio
from typing import Any

import msgspec

from andon.agent.backoff import Backoff
from andon.agent.sync_client import SyncClient
from andon.agent.timing import Timing
from andon.model.wire import EndReport, SlotReport, SlotState, SyncAnswer, SyncRequest
from andon.runtime.http_client import Answer, Unreachable
from andon.runtime.logging import logger
from andon.runtime.loop import Nudge
from andon.sim.loop_clock import LoopClock
from andon.sim.virtual_loop import VirtualLoop, running_loop


class _Slots:
    """One slot, whose state the test sets."""

    def __init__(self) -> None:
        self.changed = Nudge()
        self.state = SlotState.IDLE

    def slots(self) -> tuple[SlotReport, ...]:
        return (SlotReport(slot=0, kind="jit", pool="linux", state=self.state),)

    def ended(self) -> tuple[EndReport, ...]:
        return ()

    def acknowledge(self, ends: tuple[EndReport, ...]) -> None:
        assert not ends

    def apply(self, answer: SyncAnswer) -> None:
        del answer


class _ControlPlane:
    """Takes what it hears. Of a slot that runs it tells nobody that it heard of it."""

    base_url = "http://127.0.0.1"

    def __init__(self, slots: _Slots) -> None:
        self._slots = slots
        self.knows: SlotState | None = None
        self.heard = asyncio.Event()

    async def request(self, method: str, path: str, *, body: bytes, timeout: float) -> Answer:
        del method, path, timeout
        report = msgspec.json.decode(body, type=SyncRequest)
        if report.slots is not None:
            self.knows = report.slots[0].state
            if self.knows is SlotState.RUNNING:
                self._slots.state = SlotState.IDLE
                self._slots.changed()
                raise Unreachable("the answer is lost")
        self.heard.set()
        answer: dict[str, Any] = {"v": 1, "ack": report.seq, "resync": False, "claims": [], "stop": []}
        return Answer(status=200, body=msgspec.json.encode(answer), headers={})


def test_a_slot_that_ran_between_two_answers_is_not_taken_for_running() -> None:
    async def story() -> SlotState | None:
        clock = LoopClock(running_loop())
        slots = _Slots()
        control_plane = _ControlPlane(slots)
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
        )
        running = asyncio.create_task(client.run())
        await control_plane.heard.wait()
        slots.state = SlotState.RUNNING
        slots.changed()
        await clock.sleep(60.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return control_plane.knows

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(story()) is SlotState.IDLE
