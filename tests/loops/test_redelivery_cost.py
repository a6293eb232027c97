"""Looking for what never arrived costs little, and gets through whatever there is (R5, R8, R10)."""

import asyncio
from collections import Counter
from collections.abc import Collection
from datetime import timedelta
from typing import Any, cast

import pytest

from andon.github.hook_payloads import DeliveryObject, DeliveryPage, HookLog
from andon.github.outcomes import Failed, FailureClass
from andon.loops.delivery_log import PAGES, DeliveryLog, Whole
from andon.loops.own_hooks import AGAIN_S, OwnHooks
from andon.loops.redelivery import Redelivery
from andon.model.config import Owner
from andon.rules.redelivery import AT_ONCE
from andon.store import journal
from tests.support.builders import START, a_config, a_pool
from tests.support.played_hooks import ADDRESS, PlayedHook
from tests.support.redelivery_looks import OBSERVING, REPOSITORIES, Looking, pages


def test_only_the_leader_looks(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        hook.lose()
        world.fleet.lease = lambda: None
        before = world.github.truth()["calls"]
        assert await Looking(world).loop.run_once() is None
        assert world.github.truth()["calls"] == before

    play(story)


def test_when_nothing_is_wrong_it_costs_a_call_or_two(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        hook.send(5)
        await hook.arrive()
        looking = Looking(world)
        await looking.look()
        before = Counter(world.calls)
        for _ in range(12):
            await looking.later()
        spent = sum(n for (_, status), n in (world.calls - before).items() if status != "304")
        assert spent <= 2, "in an hour; the same answer is not paid for"

    play(story)


def test_many_webhooks_and_one_that_goes_on_cost_no_more_than_their_share(play: Any) -> None:
    names = tuple(f"acme/r{number}" for number in range(5))

    async def story(world: Any) -> None:
        hooks = [PlayedHook(world, name) for name in names]
        looking = Looking(world)
        await looking.look()
        before = await pages(world)
        for _ in range(12):
            await looking.later()
        assert await pages(world) - before <= 30, "in an hour, however many webhooks"
        hooks[0].lose()
        await looking.later()
        await looking.later()
        before = await pages(world)
        await looking.later(5)
        assert await pages(world) - before <= 2, "only the log that waits for its trial"

    play(story, a_config(pool=(a_pool(),), owner=(Owner(login="acme", repositories=names),)))


def test_a_person_without_webhooks_does_not_make_everybody_be_asked_again(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: Any) -> None:
        PlayedHook(world)
        ask, asked = world.fleet.github.hooks, Counter[str]()

        async def hooks(scope: Any) -> Any:
            asked[scope.repository or scope.owner] += 1
            if scope.repository is None:
                return Failed(kind=FailureClass.GONE, status=404, message="Not Found")
            return await ask(scope)

        monkeypatch.setattr(world.fleet.github, "hooks", hooks)
        own = OwnHooks(world.fleet, ADDRESS)
        for _ in range(5):
            assert len(await own.logs()) == 1
            await world.pass_time(AGAIN_S)
        assert asked == {"acme": 1, "acme/app": 1}

    play(story, REPOSITORIES)


class LongLog:
    """A log of failures only, of so many pages with one try each."""

    def __init__(self, pages: int) -> None:
        self.pages = pages

    async def deliveries(self, log: HookLog, *, status: str, cursor: str | None) -> Any:
        number = int(cursor or 0)
        one = DeliveryObject(
            id=number,
            guid=f"g{number}",
            delivered_at=START - timedelta(minutes=number),
            redelivery=False,
            status_code=502 if status == "failure" else 200,
            event="workflow_job",
            action="queued",
        )
        return DeliveryPage(items=(one,), next=str(number + 1) if number + 1 < self.pages else None, at=None)


def test_a_log_that_takes_hours_to_read_is_got_through() -> None:
    async def story() -> None:
        log = DeliveryLog(cast(Any, LongLog(PAGES * 20)), HookLog())

        async def unknown(guids: Collection[str]) -> set[str]:
            return set(guids) & {"g3"}

        got = None
        for tick in range(60):
            got = await log.read(START + timedelta(minutes=10 * tick), unknown)
            if got is not None:
                break
        assert isinstance(got, Whole)
        succeeded = [one.guid for one in got.tries if one.code == 200]
        assert succeeded == ["g0", "g3"], "the newest, and what is looked for: not a few hundred thousand"

    asyncio.run(story())


def test_while_there_is_no_room_a_log_is_not_read(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        hook.lose(AT_ONCE + 3)
        hook.send()
        await hook.arrive()
        loop = Redelivery(world.fleet, ADDRESS)
        pause = await loop.run_once()
        assert pause is not None and pause <= 60
        await world.pass_time(pause)
        world.calls.clear()
        await loop.run_once()
        assert world.calls == {}

    play(story)


def test_observe_mode_tells_of_all_of_them(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        hook.lose(AT_ONCE + 3)
        hook.send()
        await hook.arrive()
        looking = Looking(world)
        await looking.look()
        await looking.later(60)
        await looking.later(60)
        told = await world.store.read(lambda connection: journal.newest(connection, 500))
        assert sum(each.entry.kind == "delivery.would_request" for each in told) == AT_ONCE + 3

    play(story, OBSERVING)


def test_a_read_that_failed_is_made_again_soon(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: Any) -> None:
        PlayedHook(world)
        loop = Redelivery(world.fleet, ADDRESS)
        answer = Failed(kind=FailureClass.RETRY_LATER, status=502, message="Bad Gateway")

        async def fails(*_: Any, **__: Any) -> Failed:
            return answer

        monkeypatch.setattr(world.fleet.github, "deliveries", fails)
        pauses: list[float] = []
        for _ in range(5):
            pause = await loop.run_once()
            assert pause is not None
            pauses.append(round(pause))
            await world.pass_time(pause)
        assert pauses == [30, 60, 120, 240, 300]

    play(story)
