"""Loops: on a timer and on a nudge, never lost, never ended by a failing pass."""

import asyncio
from typing import Any

from andon.runtime.logging import logger
from andon.runtime.loop import Loop, Nudge
from andon.sim.virtual_time import VirtualClock


def run(story: Any) -> None:
    asyncio.run(story(VirtualClock()))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def a_loop(clock: VirtualClock, work: Any) -> Loop:
    return Loop("l", work, period=10, clock=clock, log=logger("test"))


def test_a_pass_at_once_then_one_a_period_and_one_a_nudge() -> None:
    async def story(clock: VirtualClock) -> None:
        passes: list[float] = []

        async def work() -> None:
            passes.append(clock.monotonic())

        loop = a_loop(clock, work)
        task = asyncio.create_task(loop.run())
        await clock.run_for(15)
        assert passes == [0, 10]
        loop.nudge()
        loop.nudge()
        await settle()
        assert passes == [0, 10, 15], "two nudges are one"
        await clock.run_for(10)
        assert passes == [0, 10, 15, 25]
        task.cancel()

    run(story)


def test_a_nudge_during_a_pass_is_not_lost() -> None:
    async def story(clock: VirtualClock) -> None:
        count = 0

        async def work() -> None:
            nonlocal count
            count += 1
            if count == 1:
                loop.nudge()

        loop = a_loop(clock, work)
        task = asyncio.create_task(loop.run())
        await settle()
        assert count == 2
        task.cancel()

    run(story)


def test_a_pass_that_knows_of_something_sooner_is_called_sooner() -> None:
    async def story(clock: VirtualClock) -> None:
        passes: list[float] = []

        async def work() -> float:
            passes.append(clock.monotonic())
            return 3.0

        task = asyncio.create_task(a_loop(clock, work).run())
        await clock.run_for(7)
        assert passes == [0, 3, 6]
        task.cancel()

    run(story)


def test_a_failing_pass_is_tried_again_and_nudges_do_not_make_it_spin() -> None:
    async def story(clock: VirtualClock) -> None:
        count = 0

        async def work() -> None:
            nonlocal count
            count += 1
            raise RuntimeError("not today")

        loop = a_loop(clock, work)
        task = asyncio.create_task(loop.run())
        for _ in range(100):
            loop.nudge()
            await settle()
        assert count == 1
        await clock.run_for(60)
        assert 4 < count < 40
        assert not task.done()
        task.cancel()

    run(story)


def test_waiting_beyond_a_version_returns_at_once_for_old_news() -> None:
    async def story(clock: VirtualClock) -> None:
        nudge = Nudge()
        seen = nudge.version
        nudge()
        await asyncio.wait_for(nudge.wait_beyond(seen), 1)

    run(story)
