"""Claims in doubt: GitHub is asked first, nothing in progress is touched, a late answer is no answer."""

from typing import Any

import pytest

from andon.model.claim_states import ClaimState
from andon.model.wire import SlotState
from andon.store.apply_news import apply_job_news
from tests.loops.test_stale_leader import stop_at
from tests.support.builders import idle, job_news, slot_of, the_end
from tests.support.minted_runners import connect, minted, take


def test_a_runner_that_never_came_up_is_removed_and_its_job_claimed_again(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        await world.report(slot_of(claim, SlotState.STARTING), idle(1))
        await world.pass_time(151)
        await world.deadlines()
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        assert world.registrations() == set()
        await world.dispatch()
        again = await world.the_claim(claim.job_id)
        assert (again.slot, again.id != claim.id) == (1, True), "not on the slot whose process still lives"

    play(story)


def test_a_known_end_before_any_job_gives_the_job_back_at_once(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        await world.report(idle(0), idle(1), ended=(the_end(claim, exit=1, tail="no route to host"),))
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        await world.dispatch()
        assert await world.claim_of(claim.job_id) is not None

    play(story)


@pytest.mark.parametrize("status", [500, 403, 429])
def test_a_question_that_is_not_answered_changes_nothing_and_is_asked_again(play: Any, status: int) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        await world.report(idle(0), idle(1), ended=(the_end(claim, exit=1),))
        world.fault(kind="api_error", match={"endpoint": "GET *"}, status=status, count=1)
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED
        assert world.registrations() == {claim.runner_name}
        await world.pass_time(70)
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED

    play(story)


def test_a_listening_runner_whose_job_is_still_queued_may_go_on_waiting(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        # GitHub holds the assignment back: the listener is online and polls, but has not taken the job.
        connect(world, claim)
        await world.report(slot_of(claim, SlotState.LISTENING), idle(1))
        await world.pass_time(301)
        await world.deadlines()
        await world.act()
        after = await world.claim(claim.id)
        assert after.state is ClaimState.REGISTERED
        assert world.registrations() == {claim.runner_name}

    play(story)


@pytest.mark.parametrize("change", ["job", "process"])
def test_a_runner_is_not_kept_on_what_was_true_before_github_answered(play: Any, change: str) -> None:
    """The job is cancelled, or the process ends, between the two questions: it would wait 5 min for nothing."""

    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        connect(world, claim)
        await world.report(slot_of(claim, SlotState.LISTENING), idle(1))
        await world.pass_time(301)
        await world.deadlines()

        async def meanwhile() -> None:
            if change == "job":
                over = job_news(claim.job_id, "completed", conclusion="cancelled", order_at=world.clock.now())
                await world.store.write(lambda tx: apply_job_news(tx, over, world.config))
            else:
                await world.report(idle(0), idle(1), ended=(the_end(claim, exit=1),))

        stopped = stop_at(world, "find_runner", meanwhile)
        await world.act()
        assert stopped.happened
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED, "the old evidence does not count"
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        assert world.registrations() == set()

    play(story)


def test_in_progress_is_left_alone_whatever_our_own_table_says(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        take(world, connect(world, claim))
        await world.report(slot_of(claim, SlotState.STARTING), idle(1))
        await world.pass_time(151)
        await world.deadlines()
        await world.act()
        after = await world.claim(claim.id)
        assert after.state is ClaimState.BUSY, "asked, and GitHub said in_progress here"
        assert world.registrations() == {claim.runner_name}

    play(story)


def test_demand_that_is_cancelled_retires_the_idle_runner(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        await world.report(slot_of(claim, SlotState.LISTENING), idle(1))
        world.cancel_the_run()
        await world.sweep()
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        assert world.registrations() == set()

    play(story)


def test_a_registration_that_github_will_not_remove_is_left_alone(play: Any) -> None:
    """422: it became busy between our look and our order."""

    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        await world.report(slot_of(claim, SlotState.STARTING), idle(1))
        world.fault(kind="api_error", match={"endpoint": "DELETE *"}, status=422, count=1)
        await world.pass_time(151)
        await world.deadlines()
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED
        assert world.registrations() == {claim.runner_name}

    play(story)


def test_a_runner_that_the_list_lacks_is_not_given_up_before_its_deletion_was_answered(play: Any) -> None:
    """New runners may come late into the list: GitHub may be about to give it a job."""

    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        runner = connect(world, claim)
        await world.report(slot_of(claim, SlotState.LISTENING), idle(1))
        await world.pass_time(301)
        await world.deadlines()
        take(world, runner)
        world.github.runners.list = lambda *args, **kwargs: []
        await world.store.write(lambda tx: tx.connection.exec_driver_sql("UPDATE claims SET job_id = 1"))
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED, "422: it is busy"
        assert world.registrations() == {claim.runner_name}

    play(story)
