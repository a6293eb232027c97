"""Time jumps when nothing can run, in order, and waits for nobody outside."""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest

from andon.sim.loop_clock import START, LoopClock
from andon.sim.virtual_loop import Deadlock, VirtualLoop, running_loop

T = TypeVar("T")


def play(story: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)


def test_days_pass_at_once_and_in_order() -> None:
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append(asyncio.get_running_loop().time())

    async def story() -> None:
        await asyncio.gather(sleeper(86_400.0), sleeper(5.0), sleeper(7 * 86_400.0))

    began = time.monotonic()
    play(story())
    assert woken == [5.0, 86_400.0, 7 * 86_400.0]
    assert time.monotonic() - began < 60, "a week is no week"


def test_a_timeout_is_a_moment_of_virtual_time() -> None:
    async def story() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.get_running_loop().create_future()
        return asyncio.get_running_loop().time()

    assert play(story()) == 30.0


def test_waiting_for_nothing_is_an_error_and_no_hang() -> None:
    async def story() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        play(story())


def test_work_for_a_thread_is_done_in_its_turn() -> None:
    async def story() -> tuple[int, float]:
        return await asyncio.to_thread(lambda: 7), asyncio.get_running_loop().time()

    assert play(story()) == (7, 0.0)


def test_machines_that_sleep_lose_no_timer() -> None:
    async def story() -> tuple[float, float]:
        clock = LoopClock(running_loop())
        began = clock.now()
        sleeping = asyncio.ensure_future(asyncio.sleep(10.0))
        running_loop().sleep_through(3600.0)
        await sleeping
        return clock.monotonic(), (clock.now() - began).total_seconds()

    assert play(story()) == (10.0, 3610.0)


def test_a_callback_that_raises_ends_the_story() -> None:
    def broken() -> None:
        raise ValueError("in a timer")

    async def story() -> None:
        asyncio.get_running_loop().call_later(5.0, broken)
        await asyncio.sleep(10.0)

    with pytest.raises(ValueError, match="in a timer"):
        play(story())


def test_a_timer_that_was_called_off_moves_no_time() -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(5.0, lambda: None).cancel()
        waiter = loop.create_future()
        loop.call_later(7.0, waiter.set_result, None)
        await waiter
        return loop.time()

    assert play(story()) == 7.0


def test_the_rest_that_rounding_leaves_of_a_wait_passes_too() -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(1000.0)
        began, tries = loop.time(), 0
        while loop.time() == began and tries < 3:
            await asyncio.sleep(1e-14)
            tries += 1
        return loop.time() - began

    assert 0.0 < play(story()) < 1e-5


def test_a_generator_that_nobody_reads_on_ends_on_the_loop() -> None:
    ended: list[float] = []

    async def numbers() -> AsyncGenerator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(3.0)
            ended.append(asyncio.get_running_loop().time())

    async def story() -> None:
        async for _ in numbers():
            break
        await asyncio.sleep(10.0)

    play(story())
    assert ended == [3.0]


def test_a_clock_that_is_set_shows_it_at_once() -> None:
    async def story() -> list[datetime]:
        clock = LoopClock(running_loop())
        shown = [clock.now()]
        clock.skew = timedelta(hours=1)
        shown.append(clock.now())
        await clock.sleep(60.0)
        shown.append(clock.now())
        clock.skew = timedelta(0)
        return [*shown, clock.now()]

    minute = timedelta(minutes=1)
    assert play(story()) == [START, START + timedelta(hours=1), START + timedelta(hours=1) + minute, START + minute]
