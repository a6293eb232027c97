"""Claims in doubt: GitHub is asked first, nothing in progress is touched, a late answer is no answer."""

from typing import Any

import pytest
from tests.support.builders import idle, slot_of, the_end

from andon.model.claim_states import ClaimState
from andon.model.job_states import JobStatus
from andon.model.wire import SlotState


async def minted(world: Any, *names: str) -> list[Any]:
    job_ids = world.run(*(names or ("build",)))
    await world.sweep()
    await world.dispatch()
    await world.act()
    return [await world.the_claim(job) for job in job_ids]


def connect(world: Any, claim: Any) -> Any:
    """The runner of this claim opens its session and waits for a message, as the real one would."""
    runner = next(each for each in world.github.world.runners.values() if each.name == claim.runner_name)
    session = world.github.runners.open_session(runner, version="2.336.0", os="Linux")
    world.github.runners.begin_poll(session)
    return runner


def take(world: Any, runner: Any) -> int:
    """The runner takes the job that GitHub offers it; says which."""
    job_id = runner.assigned.id
    world.github.execution.acquire(runner, runner.session.id, job_id)
    return int(job_id)


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


def test_a_shuffle_that_no_webhook_told_is_found_by_one_sweep(play: Any) -> None:
    async def story(world: Any) -> None:
        one, two = await minted(world, "a", "b")
        taken = take(world, connect(world, one))
        assert taken == two.job_id, "with this seed GitHub shuffles: else the test shows nothing"
        await world.sweep()
        served = await world.claim(one.id)
        assert (served.job_id, served.state) == (two.job_id, ClaimState.BUSY)
        assert (await world.claim(two.id)).job_id == one.job_id

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


def test_a_lost_completed_is_found_by_the_sweep(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        runner = connect(world, claim)
        take(world, runner)
        await world.sweep()
        world.github.execution.complete(runner, claim.job_id, "success")
        await world.sweep()
        job = await world.job(claim.job_id)
        assert (job.status, job.conclusion) == (JobStatus.COMPLETED, "success")
        assert (await world.claim(claim.id)).state is ClaimState.BUSY, "until the process is gone"
        await world.report(idle(0), idle(1), ended=(the_end(claim),))
        assert (await world.claim(claim.id)).state is ClaimState.SETTLED

    play(story)


def test_a_failed_read_is_never_nothing_there(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        world.fault(kind="api_error", match={"endpoint": "GET *"}, status=502)
        await world.sweep()
        job = await world.job(claim.job_id)
        assert job.status is JobStatus.QUEUED
        assert (await world.claim(claim.id)).state is ClaimState.MINTED
        assert ("andon_sweeps_failed_total", {"failure": "retry_later"}) in world.counted

    play(story)
