"""What becomes of a claim in doubt, by what GitHub says of its job: the cases that issue after issue asked for."""

from typing import Any

import pytest

from andon.model.claim_states import ClaimState
from andon.model.job_states import JobStatus
from andon.model.wire import SlotState
from tests.support.builders import idle, slot_of, the_end
from tests.support.minted_runners import connect, minted, take


async def never_registered(world: Any) -> Any:
    """A claim whose runner was started and never said a word, just past its deadline."""
    (claim,) = await minted(world)
    await world.report(slot_of(claim, SlotState.STARTING), idle(1))
    await world.pass_time(151)
    return claim


async def tick(world: Any) -> None:
    await world.deadlines()
    await world.act()


def test_github_says_queued_then_it_is_given_back_and_released(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await never_registered(world)
        assert (await world.job(claim.job_id)).status is JobStatus.QUEUED
        await tick(world)
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        assert world.registrations() == set()
        await world.dispatch()
        assert (await world.the_claim(claim.job_id)).id != claim.id, "its job is claimed again"

    play(story)


def test_github_says_in_progress_then_it_is_left(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await never_registered(world)
        take(world, connect(world, claim))
        for _ in range(3):
            await tick(world)
            await world.pass_time(61)
        after = await world.claim(claim.id)
        assert (after.state, after.generation) == (ClaimState.BUSY, claim.generation)
        assert world.registrations() == {claim.runner_name}
        assert (await world.job(claim.job_id)).status is JobStatus.IN_PROGRESS

    play(story)


def test_github_says_completed_then_it_is_left_to_the_completion_path(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await never_registered(world)
        runner = connect(world, claim)
        take(world, runner)
        world.github.execution.complete(runner, claim.job_id, "success")
        await tick(world)
        after = await world.claim(claim.id)
        assert after.state is ClaimState.BUSY, "its process still lives: its end settles the claim"
        assert after.deadline is not None, "and if it does not end, somebody looks (R29)"
        await world.report(idle(0), idle(1), ended=(the_end(claim),))
        assert (await world.claim(claim.id)).state is ClaimState.SETTLED
        assert await world.claim_of(claim.job_id) is None, "nobody runs it again"

    play(story)


@pytest.mark.parametrize("status", [500, 502, 429])
def test_a_transient_error_does_nothing_now_and_is_asked_again_next_tick(play: Any, status: int) -> None:
    async def story(world: Any) -> None:
        claim = await never_registered(world)
        world.fault(kind="api_error", match={"endpoint": "GET *"}, status=status, count=1)
        await tick(world)
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED
        assert world.registrations() == {claim.runner_name}
        await world.pass_time(70)
        await tick(world)
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED

    play(story)


def test_no_candidates_no_calls(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = (await minted(world))[0]
        await world.report(slot_of(claim, SlotState.LISTENING), idle(1))
        world.calls.clear()
        for _ in range(4):
            await tick(world)
            await world.pass_time(60)
        assert world.calls.total() == 0

    play(story)


def test_what_github_says_of_one_job_is_no_word_on_another(play: Any) -> None:
    """N6: GitHub gave each runner the other's job, and the answer about the first moves the claim to the second."""

    async def story(world: Any) -> None:
        first, second = [(await minted(world, name))[0] for name in ("build", "test")]
        await world.report(slot_of(first, SlotState.LISTENING), slot_of(second, SlotState.LISTENING))
        other = connect(world, second)
        assert take(world, other) == first.job_id
        mine = connect(world, first)
        world.github.execution.complete(mine, take(world, mine), "success")
        await world.report(idle(0), slot_of(second, SlotState.RUNNING), ended=(the_end(first),))
        await world.act()
        after = await world.claim(first.id)
        assert after.job_id == second.job_id, "it stands for the job that its runner ran"
        assert after.state is not ClaimState.RELEASED
        await world.act()
        assert (await world.claim(first.id)).state is ClaimState.SETTLED
        await world.dispatch()
        assert await world.claim_of(second.job_id) is None, "nobody runs it again"

    play(story)
