"""Time jumps when nothing can run, in order, and waits for nobody outside."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from andon.sim.virtual_loop import Deadlock, LoopClock, VirtualLoop, running_loop

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
