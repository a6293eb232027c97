"""A process that stands still does nothing, however long; what came due meanwhile happens in order afterwards."""

import asyncio

from andon.sim.loop_clock import LoopClock
from andon.sim.simulation.processes import Process, note_owners
from andon.sim.virtual_loop import VirtualLoop, running_loop


def test_it_does_nothing_while_it_stands_and_goes_on_in_order() -> None:
    async def story() -> list[tuple[str, float]]:
        loop = running_loop()
        note_owners(loop)
        clock = LoopClock(loop)
        said: list[tuple[str, float]] = []
        word = loop.create_future()

        async def sleeper(seconds: float) -> None:
            await clock.sleep(seconds)
            said.append((f"slept {seconds:g}", clock.monotonic()))

        async def hearer() -> None:
            said.append((await word, clock.monotonic()))

        process = Process("p")
        for work in (sleeper(5.0), sleeper(2.0), sleeper(70.0), hearer()):
            process.start(work)
        await clock.sleep(1.0)
        process.stop()
        await clock.sleep(9.0)
        word.set_result("heard")
        late = process.start(sleeper(0.0))
        await clock.sleep(51.0)
        assert said == []
        assert not late.done()
        process.go_on()
        await clock.sleep(20.0)
        return said

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(story()) == [
            ("heard", 61.0),
            ("slept 2", 61.0),
            ("slept 5", 61.0),
            ("slept 0", 61.0),
            ("slept 70", 70.0),
        ]


def test_one_that_stands_can_be_ended_and_says_no_last_word() -> None:
    async def story() -> list[str]:
        loop = running_loop()
        note_owners(loop)
        clock = LoopClock(loop)
        said: list[str] = []

        async def speaker() -> None:
            await clock.sleep(5.0)
            said.append("a word")

        process = Process("p")
        process.start(speaker())
        process.stop()
        await clock.sleep(10.0)
        await process.end()
        return said

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(story()) == []
