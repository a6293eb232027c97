"""A burst of webhooks: acknowledged first, then applied many to a commit, and nobody is lost by it."""

import asyncio
from typing import Any

import pytest

from andon.loops.apply_deliveries import GIVE_WAY_S, TOGETHER, ApplyDeliveries
from andon.runtime.logging import logger
from andon.store import deliveries, fleet_views
from andon.store.deliveries import Received
from andon.store.intake import BURST, Intake, Kept
from andon.store.spool import Spool

COUNT = 2 * TOGETHER


async def keep_some(world: Any) -> None:
    for number in range(COUNT):
        guid = f"guid-{number}"
        await world.store.write(
            lambda tx, guid=guid: deliveries.keep(tx, guid=guid, event="push", action=None, body=b"{}")
        )


async def states(world: Any) -> list[str]:
    views = await world.store.read(lambda connection: fleet_views.delivery_views(connection, 100))
    return [view.state for _, view in views]


def test_deliveries_share_commits(play: Any) -> None:
    async def story(world: Any) -> None:
        await keep_some(world)
        before = world.store.database.commits
        await ApplyDeliveries(world.fleet).run_once()
        assert await states(world) == ["ignored"] * COUNT
        assert world.store.database.commits - before == COUNT / TOGETHER

    play(story)


def test_applying_gives_way_while_more_come_in_than_can_be_stored(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def story(world: Any) -> None:
        await keep_some(world)
        monkeypatch.setattr(world.clock, "sleep", sleep)
        await ApplyDeliveries(world.fleet, burst=lambda: True).run_once()
        assert await states(world) == ["ignored"] * COUNT, "it goes on, slower"
        assert slept == [GIVE_WAY_S] * (COUNT // TOGETHER)

    play(story)


def test_a_burst_is_what_waits_behind_the_transaction_under_way(play: Any, tmp_path: Any) -> None:
    async def story(world: Any) -> None:
        spool = Spool(tmp_path / "spool", world.store._ids)
        intake = Intake(world.store, spool, logger("test"), patience_s=60.0)
        at = world.clock.now()

        def keep(number: int) -> asyncio.Task[Kept]:
            received = Received(guid=f"g{number}", event="push", action=None, received_at=at, body=b"{}")
            return asyncio.create_task(intake.keep(received))

        assert not intake.burst
        waiting = [keep(number) for number in range(BURST)]
        # One turn of the event loop: everybody has asked, nothing is stored yet.
        await asyncio.sleep(0)
        assert intake.burst
        assert await asyncio.gather(*waiting) == [Kept.STORED] * BURST
        assert not intake.burst
        spool.close()

    play(story)


def test_duplicates_in_one_group_are_told_apart(play: Any) -> None:
    async def story(world: Any) -> None:
        at = world.clock.now()
        wanted = [
            Received(guid=guid, event="push", action=None, received_at=at, body=b"{}") for guid in ("a", "b", "b", "c")
        ]
        first = await world.store.write(lambda tx: deliveries.keep_all(tx, wanted[:1]))
        then = await world.store.write(lambda tx: deliveries.keep_all(tx, wanted))
        again = await world.store.write(lambda tx: deliveries.keep_all(tx, wanted))
        assert (first, then, again) == ([True], [False, True, False, True], [False] * 4)

    play(story)
