"""Claims in doubt whose repository does not let itself be asked: slow looks, and only a known end lets go."""

from typing import Any

import pytest

from andon.model.claim_states import ClaimState
from andon.model.config import Rails
from andon.model.wire import SlotState
from andon.store import journal
from tests.support.builders import a_config, idle, slot_of, the_end
from tests.support.minted_runners import connect, minted, take

GONE_EVERYWHERE = {"kind": "api_error", "match": {"endpoint": "* /repos/*"}}


async def look(world: Any, minutes: float) -> None:
    """So much time passes, and everything that falls due is done."""
    for _ in range(int(minutes * 2)):
        await world.pass_time(30)
        await world.deadlines()
        await world.act()


async def lines(world: Any, claim: Any) -> list[Any]:
    found = await world.store.read(lambda connection: journal.story_of_job(connection, claim.job_id))
    return [line.entry for line in found]


@pytest.mark.parametrize("status", [404, 401, 403])
def test_a_place_that_stays_out_of_reach_gives_the_slot_back_once_the_process_ended(play: Any, status: int) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        await world.report(idle(0), idle(1), ended=(the_end(claim, exit=1),))
        world.fault(**GONE_EVERYWHERE, status=status)
        world.calls.clear()
        await world.act()
        await look(world, 8)
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED, "one or two looks are no evidence"
        await look(world, 8)
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        assert sum(world.calls.values()) <= 20, world.calls
        (entry,) = [each for each in await lines(world, claim) if each.kind == "claim.released"]
        assert (entry.evidence["runner_is"], entry.evidence["process_is"]) == ("out_of_reach", "gone")
        assert (entry.evidence["looks"], entry.evidence["github_said"] != "") == ("3", True)
        # What is left there is removed when it can be asked again.
        assert world.registrations() == {claim.runner_name}
        world.github.faults.clear()
        await look(world, 12)
        assert world.registrations() == set()

    play(story)


@pytest.mark.parametrize("alive", [True, False])
def test_a_place_out_of_reach_gives_up_nothing_whose_end_nobody_reported(play: Any, alive: bool) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        await world.report(slot_of(claim, SlotState.STARTING) if alive else idle(0), idle(1))
        world.fault(**GONE_EVERYWHERE, status=404)
        world.calls.clear()
        await look(world, 120)
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED
        assert sum(world.calls.values()) <= 2 * 120 / 5, "and it is asked slowly"
        await world.report(idle(0), idle(1), ended=(the_end(claim, exit=1),))
        await look(world, 6)
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED

    play(story)


def test_a_place_that_answers_in_between_is_not_out_of_reach(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        await world.report(idle(0), idle(1), ended=(the_end(claim, exit=1),))
        world.fault(**GONE_EVERYWHERE, status=404)
        await world.act()
        await look(world, 6)
        world.github.faults.clear()
        # It answers, and says that the runner is busy: with what, we have yet to learn.
        runner = connect(world, claim)
        take(world, runner)
        world.fault(kind="api_error", match={"endpoint": "GET *jobs*"}, status=404)
        await look(world, 6)
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED
        world.fault(**GONE_EVERYWHERE, status=404)
        await look(world, 6)
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED, "counted from the start"
        await look(world, 6)
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED

    play(story)


def test_looks_are_counted_across_a_restart(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        await world.report(idle(0), idle(1), ended=(the_end(claim, exit=1),))
        world.fault(**GONE_EVERYWHERE, status=404)
        await world.act()
        await look(world, 6)
        world.configure(world.config)
        await look(world, 6)
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED

    play(story)


def test_observe_mode_only_says_that_it_would_let_go(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        await world.report(idle(0), idle(1), ended=(the_end(claim, exit=1),))
        world.fault(**GONE_EVERYWHERE, status=404)
        world.configure(a_config(owner=world.config.owner, rails=Rails(mode="observe")))
        await look(world, 16)
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED
        would = [each for each in await lines(world, claim) if each.kind == "claim.would_release"]
        assert [each.mode for each in would] == ["observe"]

    play(story)


def test_a_removal_from_a_place_out_of_reach_is_tried_ever_more_slowly_and_not_for_ever(play: Any, count: Any) -> None:
    async def story(world: Any) -> None:
        payload = {"owner": "acme", "repository": "acme/app", "name": "andon-f-x"}
        await world.store.write(lambda tx: tx.order("retire_runner", key="x", subject="clm_x", payload=payload))
        world.fault(**GONE_EVERYWHERE, status=404)
        world.calls.clear()
        tries: list[int] = []
        for _ in range(count(24, test=6)):
            await look(world, 60)
            tries.append(sum(world.calls.values()))
        assert tries[0] <= 7 and tries[-1] <= 14, "not each minute"
        state = "SELECT state FROM outbox WHERE kind = 'retire_runner'"
        assert await world.store.read(lambda connection: connection.exec_driver_sql(state).scalar_one()) == "pending"
        for _ in range(8):
            await world.pass_time(6 * 3600)
            await world.act()
        ended = await world.store.read(lambda connection: connection.exec_driver_sql(state).scalar_one())
        assert ended == "failed", "GitHub removes it by itself after a day"

    play(story)


def test_a_removal_that_github_refuses_as_wrong_is_not_tried_again(play: Any) -> None:
    async def story(world: Any) -> None:
        payload = {"owner": "acme", "repository": "acme/app", "name": "andon-f-x"}
        await world.store.write(lambda tx: tx.order("retire_runner", key="x", subject="clm_x", payload=payload))
        world.fault(**GONE_EVERYWHERE, status=400)
        world.calls.clear()
        await world.act()
        await look(world, 5)
        assert sum(world.calls.values()) == 1

    play(story)
