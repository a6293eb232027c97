"""What never arrived is asked for again, once for each GUID, however long nobody looked (R5, T5, T6)."""

import asyncio
import contextlib
from typing import Any

import httpx2
import msgspec
import pytest

from andon.github.client import GitHub as GitHubRoom
from andon.github.credentials import AppCredentials
from andon.github.transport import Transport
from andon.loops.acts.redeliver import redeliver
from andon.model.config import GitHub
from andon.rules.doctor_hook import SentTry
from andon.rules.redelivery import PERIOD_S
from andon.sim.sandbox.control import post
from andon.store import outbox
from andon.store.deliveries import keep
from andon.store.rails import note_mode
from andon.store.redeliveries import Order, order
from andon.store.transaction import Store
from tests.support.builders import START
from tests.support.contract_watch import watched
from tests.support.played_hooks import ADDRESS, ATTEMPTS, PlayedHook, states
from tests.support.redelivery_looks import CAP, OBSERVING, REPOSITORIES, Looking, kinds, pages, requests
from tests.support.running import write


def test_what_failed_is_asked_for_once_and_never_again(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        lost = hook.lose(3)
        hook.send()
        await hook.arrive()
        looking = Looking(world)
        assert await looking.look() == PERIOD_S
        assert set((await states(world)).values()) == {"stored", "requested"}
        assert sorted(await hook.arrive()) == sorted(lost)
        await world.deliver()
        assert set((await states(world)).values()) == {"ignored"}, "it arrived with its GUID, and was new to us"
        for _ in range(3):
            await looking.later()
        looking.starts_again()
        await looking.later()
        assert sorted(hook.sent_again()) == sorted(lost)
        assert (await kinds(world))["delivery.requested"] == 3
        counted = [labels for name, labels in world.counted if name == "andon_deliveries_total"]
        assert [each["outcome"] for each in counted].count("requested") == 3

    play(story)


def test_one_that_fails_again_is_not_asked_for_again(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        (lost,) = hook.lose()
        looking = Looking(world)
        await looking.look()
        assert await hook.arrive(code=502, keeps=False) == [lost]
        for _ in range(3):
            await looking.later()
        looking.starts_again()
        await looking.later()
        assert hook.tries(lost) == 2
        assert (await states(world))[lost] == "requested"

    play(story)


async def _success_here(hook: PlayedHook) -> None:
    hook.send()
    # It was stored, and our answer was lost on its way.
    await hook.arrive(code=504)


async def _success_there(hook: PlayedHook) -> None:
    (lost,) = hook.lose()
    (send,) = next(each for each in hook.hook.deliveries if each.guid == lost).sends
    # Somebody asked for it by hand, and it was taken by another store.
    hook.world.github.hooks.redeliver(hook.hook, send.id)
    assert await hook.arrive(keeps=False) == [lost]


@pytest.mark.parametrize("had", [_success_here, _success_there])
def test_one_success_anywhere_is_enough(play: Any, had: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        await had(hook)
        before = len(hook.sent_again())
        await Looking(world).look()
        assert len(hook.sent_again()) == before

    play(story)


def test_while_nothing_arrives_only_trials_are_made(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        lost = hook.lose(10)
        looking = Looking(world)
        first = await looking.look()
        assert first is not None and first < PERIOD_S / 5, "a trial that succeeds lets the others go soon"
        for _ in range(3):
            assert len(await hook.arrive(code=502, keeps=False)) == 1
            await looking.later()
        assert len(hook.sent_again()) == 4
        await hook.arrive()
        await looking.later()
        await hook.arrive()
        assert sorted(hook.sent_again()) == sorted(lost), "each of them once"

    play(story)


def test_it_goes_on_through_all_that_github_lists_after_any_outage(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        gone = hook.lose(5)
        await world.pass_time(86_400)
        early = hook.lose(70)
        await world.pass_time(2 * 86_400 + 60)
        late = hook.lose(70)
        hook.send()
        await hook.arrive()
        looking = Looking(world)
        per_minute: list[int] = []
        await looking.look()
        for _ in range(12):
            per_minute.append(len(await hook.arrive()))
            await looking.later(60)
        assert sorted(hook.sent_again()) == sorted([*early, *late]), "each once, and none that GitHub has dropped"
        assert max(per_minute) == CAP
        assert not set(gone) & set(hook.sent_again())
        assert (await kinds(world))["rail.capped"] == 1, "said once, not every minute"

    play(story)


@pytest.mark.parametrize("fault", [{"kind": "api_error"}, {"kind": "api_malformed"}])
def test_a_read_that_breaks_off_concludes_nothing_and_goes_on_where_it_was(play: Any, fault: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        lost = hook.lose(105)
        hook.send()
        await hook.arrive()
        looking = Looking(world)
        # The first page of the failed ones comes, the second does not.
        before = await pages(world)
        world.fault(**fault, match={"endpoint": "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries"}, count=1)
        await looking.look()
        assert hook.sent_again() == []
        assert await states(world) == {guid: "stored" for guid in await states(world)}
        for _ in range(9):
            await looking.later()
            await hook.arrive()
        assert sorted(hook.sent_again()) == sorted(lost)
        assert await pages(world) > before

    play(story)


def test_a_second_page_that_fails_hides_the_first_and_is_asked_for_again(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        lost = hook.lose(105)
        hook.send()
        await hook.arrive()
        looking = Looking(world)
        asked: list[str | None] = []
        real = world.fleet.github.deliveries

        async def deliveries(log: Any, **how: Any) -> Any:
            asked.append(how["cursor"])
            if len(asked) == 2:
                world.fault(kind="api_error", count=1)
            return await real(log, **how)

        world.fleet.github.deliveries = deliveries
        await looking.look()
        assert (len(asked), hook.sent_again()) == (2, [])
        await looking.later()
        assert asked[2] == asked[1], "the page that failed"
        for _ in range(9):
            await hook.arrive()
            await looking.later()
        assert sorted(hook.sent_again()) == sorted(lost)

    play(story)


def test_who_polls_asks_for_nothing(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        hook.lose(2)
        before = world.github.truth()["calls"]
        await Looking(world).look()
        assert world.github.truth()["calls"] == before

    play(story, msgspec.structs.replace(REPOSITORIES, github=GitHub(ingest="poll")))


def test_a_webhook_that_sends_elsewhere_is_not_ours(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world, url="http://other.test/webhooks/github")
        hook.lose(2)
        await Looking(world).look()
        assert hook.sent_again() == []

    play(story)


def test_the_webhook_of_an_organisation_counts_too(play: Any) -> None:
    async def story(world: Any) -> None:
        world.run("build")
        hook = PlayedHook(world, "acme")
        (lost,) = hook.lose()
        await Looking(world).look()
        assert hook.sent_again() == [lost]

    play(story)


def test_the_webhook_of_the_app_counts_too(play: Any) -> None:
    async def story(world: Any) -> None:
        asked: list[tuple[Any, ...]] = []

        def control(path: str, **body: Any) -> Any:
            status, answer = post(world.github, f"/_sandbox/{path}", body)
            assert status < 300, answer
            return answer

        control("repositories", repository="acme/app")
        events = ["workflow_job", "workflow_run"]
        webhook = {"url": ADDRESS, "secret": "s"}
        permissions = {"metadata": "read", "actions": "read"}
        app = control("apps", name="andon", owner="acme", permissions=permissions, events=events, webhook=webhook)
        control("installations", app=app["id"], account="acme")
        credentials = AppCredentials(app_id=app["id"], private_key=app["pem"], clock=world.clock)
        transport = Transport(
            "http://github.test",
            credentials,
            world.clock,
            count=lambda endpoint, status: asked.append((endpoint, status)),
            http_transport=httpx2.ASGITransport(app=watched(world.github)),
        )
        world.fault(kind="delivery_lost")
        world.run("build")
        world.github.faults.clear()
        made = world.github.world.apps[app["id"]].hook.deliveries
        config = msgspec.structs.replace(REPOSITORIES, github=GitHub(app_id=app["id"]))
        world.configure(config)
        world.fleet.github = GitHubRoom(transport)
        try:
            for _ in range(3):
                await Looking(world).look()
                for out in world.github.hooks.take():
                    world.github.hooks.report(out.send, 202, "OK", 0.1)
                await world.pass_time(60)
        finally:
            await transport.close()
        again = [each.guid for each in made for send in each.sends if send.redelivery]
        assert again and sorted(again) == sorted(each.guid for each in made)
        assert ("POST /app/hook/deliveries/{id}/attempts", "202") in asked

    play(story)


def test_an_order_is_one_for_ever(store: Store) -> None:
    sent = SentTry(id=7, guid="g", at=START, code=502, event="workflow_job")
    orders = [Order(sent=sent, payload={})]
    assert [write(store, lambda tx: order(tx, orders)) for _ in range(2)] == [1, 0]
    here = msgspec.structs.replace(sent, guid="here")
    write(store, lambda tx: keep(tx, guid="here", event="workflow_job", action=None, body=b"{}"))
    assert write(store, lambda tx: order(tx, [Order(sent=here, payload={})])) == 0


def test_observe_mode_asks_for_nothing_and_says_so_once(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        lost = hook.lose(2)
        hook.send()
        await hook.arrive()
        looking = Looking(world)
        for _ in range(3):
            await looking.look()
            await looking.later()
        assert requests(world) == 0
        assert (await kinds(world))["delivery.would_request"] == 2
        assert {(await states(world))[guid] for guid in lost} == {"never_seen"}
        world.configure(REPOSITORIES)
        await world.store.write(lambda tx: note_mode(tx, "act"))
        await world.act()
        assert sorted(hook.sent_again()) == sorted(lost)

    play(story, OBSERVING)


def test_one_that_arrives_meanwhile_is_not_asked_for(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        (lost,) = hook.lose()
        looking = Looking(world)
        await looking.loop.run_once()
        send = hook.hook.deliveries[-1].sends[0]
        world.github.hooks.redeliver(hook.hook, send.id)
        assert await hook.arrive() == [lost]
        await world.act()
        assert requests(world) == 0
        assert (await states(world))[lost] == "stored"

    play(story)


async def looked_in_trouble(world: Any, kind: str) -> tuple[PlayedHook, Looking, str]:
    """One delivery is lost, and the first request for it meets this fault."""
    hook = PlayedHook(world)
    (lost,) = hook.lose()
    world.fault(kind=kind, match={"endpoint": ATTEMPTS}, count=1)
    looking = Looking(world)
    await looking.look()
    return hook, looking, lost


def test_a_request_whose_answer_was_lost_is_looked_for_first(play: Any) -> None:
    async def story(world: Any) -> None:
        hook, looking, lost = await looked_in_trouble(world, "api_reply_lost")
        await hook.arrive(code=502, keeps=False)
        for _ in range(4):
            await looking.later(61)
        assert requests(world) == 1
        assert hook.tries(lost) == 2
        assert (await states(world))[lost] == "requested"

    play(story)


def test_a_request_that_was_not_carried_out_is_made_again(play: Any) -> None:
    async def story(world: Any) -> None:
        hook, looking, lost = await looked_in_trouble(world, "api_error")
        assert hook.sent_again() == []
        for _ in range(4):
            await looking.later(61)
        assert hook.sent_again() == [lost]

    play(story)


def test_a_process_that_ends_between_request_and_record_does_not_ask_twice(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        (lost,) = hook.lose()
        looking = Looking(world)
        await looking.loop.run_once()
        (act,) = await world.store.read(lambda c: outbox.due(c, world.clock.now(), 10, frozenset()))
        real = world.fleet.github.redeliver

        async def cut_off(log: Any, delivery_id: int) -> Any:
            await real(log, delivery_id)
            raise asyncio.CancelledError

        world.fleet.github.redeliver = cut_off
        with contextlib.suppress(asyncio.CancelledError):
            await redeliver(world.fleet, act)
        await hook.arrive(code=502, keeps=False)
        looking.starts_again()
        world.another_process()
        await looking.later()
        assert hook.tries(lost) == 2

    play(story)


def test_one_that_github_dropped_meanwhile_is_given_up(play: Any) -> None:
    async def story(world: Any) -> None:
        hook = PlayedHook(world)
        (lost,) = hook.lose()
        looking = Looking(world)
        await looking.loop.run_once()
        await world.pass_time(4 * 86_400)
        await world.act()
        assert not await world.store.read(lambda c: outbox.is_pending(c, "redeliver", lost))
        assert (await states(world))[lost] == "never_seen"

    play(story)
