"""A clock that is moved by hand."""

import asyncio

import pytest

from andon.sim.virtual_time import VirtualClock


def test_it_stands_still_until_it_is_moved():
    clock = VirtualClock()
    before = clock.now()
    assert clock.now() == before
    clock.advance(90.5)
    assert (clock.now() - before).total_seconds() == 90.5 == clock.monotonic()
    with pytest.raises(ValueError):
        clock.advance(-1)


def test_sleepers_wake_in_the_order_of_their_due_times():
    async def story():
        clock = VirtualClock()
        woken = []

        async def sleeper(name, seconds):
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))
            if name == "b":
                await clock.sleep(1)
                woken.append(("b again", clock.monotonic()))

        sleeping = [asyncio.ensure_future(sleeper(*what)) for what in (("a", 30), ("b", 10), ("c", 20), ("d", 99))]
        await clock.run_for(40)
        assert woken == [("b", 10), ("b again", 11), ("c", 20), ("a", 30)]
        assert clock.monotonic() == 40
        clock.advance(59)
        await sleeping[3]
        assert woken[-1] == ("d", 99)

    asyncio.run(story())


def test_a_cancelled_sleeper_is_forgotten():
    async def story():
        clock = VirtualClock()
        sleeping = asyncio.ensure_future(clock.sleep(5))
        await clock.run_for(1)
        sleeping.cancel()
        await asyncio.gather(sleeping, return_exceptions=True)
        await clock.run_for(10)
        assert clock.monotonic() == 11

    asyncio.run(story())
