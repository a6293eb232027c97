"""A slot takes a runner only after a try passed; a try costs a job nothing while it is fresh (R38, R43)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from andon.agent.slot_table import Slot
from andon.agent.start_probe import Failed
from andon.agent.start_probes import FRESH_S, StartProbes
from andon.rules.start_words import NOT_TRIED
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock

BROKEN = Failed(reason="broken")


class Host:
    def __init__(self, count: int = 3) -> None:
        self.slots = tuple(Slot(number=number, pool="p", command=("x",)) for number in range(count))
        self.answers: dict[int, Failed | None] = {}
        self.tried: list[int] = []
        self.told = self.short = 0
        self.renewed: set[int] = set()
        self.clock = VirtualClock()
        self.probes = StartProbes(
            lambda: self.slots,
            self._try,
            renewed=lambda slot: slot.number in self.renewed,
            changed=self._changed,
            no_room=self._no_room,
            chance=lambda: 1.0,
            clock=self.clock,
            log=logger("agent"),
        )

    async def _try(self, slot: Slot) -> Failed | None:
        self.tried.append(slot.number)
        # It takes time: meanwhile others ask.
        await asyncio.sleep(0)
        return self.answers.get(slot.number)

    def _changed(self) -> None:
        self.told += 1

    def _no_room(self) -> None:
        self.short += 1

    async def look(self) -> float | None:
        self.tried.clear()
        return await self.probes.look()

    async def admit(self, slot: int) -> str | None:
        self.tried.clear()
        return await self.probes.admit(self.slots[slot])


def play(story: Callable[[Host], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story(Host()))


def test_nothing_is_ready_before_it_was_tried() -> None:
    async def story(host: Host) -> None:
        assert host.probes.why_not_ready(0) == NOT_TRIED
        assert await host.look() is None and sorted(host.tried) == [0, 1, 2]
        assert host.probes.why_not_ready(0) is None and host.told
        await host.look()
        assert host.tried == []

    play(story)


def test_a_fresh_proof_costs_a_start_nothing_and_an_old_one_is_made_anew() -> None:
    async def story(host: Host) -> None:
        await host.look()
        host.clock.advance(FRESH_S - 1)
        assert await host.admit(0) is None and host.tried == []
        host.clock.advance(2)
        assert await host.admit(0) is None and host.tried == [0]
        assert await host.admit(0) is None and host.tried == []
        host.clock.advance(FRESH_S + 1)
        host.answers[0] = BROKEN
        assert await host.admit(0) == "broken" and host.probes.why_not_ready(0) == "broken"

    play(story)


def test_one_that_failed_is_tried_again_with_pauses_that_grow_and_comes_back() -> None:
    async def story(host: Host) -> None:
        await host.look()
        host.clock.advance(FRESH_S)
        host.answers[1] = BROKEN
        await host.admit(1)
        await host.look()
        pauses = [await host.look()]
        assert host.probes.why_not_ready(1) == "broken" and host.probes.why_not_ready(0) is None
        for _ in range(6):
            assert await host.look() is not None and 1 not in host.tried, "not before it is due"
            host.clock.advance(pauses[-1] or 0)
            pauses.append(await host.look())
            assert host.tried == [1]
        assert pauses == [5, 10, 20, 40, 80, 120, 120]
        host.answers.clear()
        host.clock.advance(120)
        assert await host.look() is None and host.probes.why_not_ready(1) is None

    play(story)


def test_after_a_failure_a_start_tries_at_once() -> None:
    async def story(host: Host) -> None:
        host.answers[1] = BROKEN
        await host.look()
        assert await host.admit(1) == "broken" and host.tried == [1]
        host.answers.clear()
        assert await host.admit(1) is None and host.tried == [1]

    play(story)


def test_when_one_slot_fails_the_others_are_tried_before_they_are_given_jobs() -> None:
    async def story(host: Host) -> None:
        await host.look()
        host.clock.advance(FRESH_S)
        host.answers = dict.fromkeys(range(3), BROKEN)
        seen = host.probes.loop.nudge.version
        await host.admit(0)
        assert host.probes.loop.nudge.version > seen
        assert host.probes.why_not_ready(1) is None, "it counts until it was tried"
        await host.look()
        assert sorted(host.tried) == [1, 2] and host.probes.why_not_ready(1) == "broken"

    play(story)


def test_want_of_room_is_told_to_the_guard() -> None:
    async def story(host: Host) -> None:
        host.answers[0] = Failed(reason="full", no_room=True)
        await host.look()
        assert host.short == 1

    play(story)


def test_two_who_ask_at_once_try_once() -> None:
    async def story(host: Host) -> None:
        first, probes = host.slots[0], host.probes
        assert await asyncio.gather(probes.admit(first), probes.admit(first), probes.look()) == [None, None, None]
        assert host.tried.count(0) == 1

    play(story)


def test_beside_a_try_that_still_hangs_no_other_is_started() -> None:
    async def story(host: Host) -> None:
        child = await asyncio.create_subprocess_exec("sleep", "1000")
        host.answers[0] = Failed(reason="hangs", hung=child.pid)
        await host.look()
        assert await host.admit(0) == "hangs" and host.tried == []
        child.kill()
        await child.wait()
        host.answers.clear()
        assert await host.admit(0) is None and host.tried == [0]

    play(story)


def test_a_slot_that_came_meanwhile_is_tried_at_once() -> None:
    async def story(host: Host) -> None:
        await host.look()
        host.slots = (*host.slots, Slot(number=1000, pool="p", command=("x",)))
        seen = host.probes.loop.nudge.version
        assert host.probes.why_not_ready(0) is None and host.probes.loop.nudge.version == seen
        assert host.probes.why_not_ready(1000) == NOT_TRIED and host.probes.loop.nudge.version > seen
        await host.look()
        assert host.tried == [1000] and host.probes.why_not_ready(1000) is None

    play(story)


def test_where_others_start_the_runner_a_proof_is_renewed_by_time() -> None:
    async def story(host: Host) -> None:
        host.renewed = {2}
        await host.look()
        host.clock.advance(FRESH_S - 1)
        await host.look()
        assert host.tried == []
        host.clock.advance(2)
        await host.look()
        assert host.tried == [2]

    play(story)


def test_a_slot_that_went_is_forgotten() -> None:
    async def story(host: Host) -> None:
        host.answers[2] = BROKEN
        await host.look()
        host.slots = host.slots[:2]
        assert await host.look() is None
        assert host.probes.why_not_ready(2) == NOT_TRIED

    play(story)
