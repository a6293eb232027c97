"""Claims in doubt: GitHub is asked first, nothing in progress is touched, a late answer is no answer."""

from typing import Any

import pytest
from tests.support.builders import LABELS, a_config, a_pool, idle, job_news, slot_of, the_end

from andon.model.claim_states import ClaimState
from andon.model.config import Owner, Rails
from andon.model.job_states import JobStatus
from andon.model.wire import SlotState
from andon.store import journal
from andon.store.apply_news import apply_job_news


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


def test_observe_mode_claims_nothing_and_says_once_what_it_would_do(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        for _ in range(3):
            await world.dispatch()
            await world.act()
        assert await world.claim_of(job) is None
        assert world.registrations() == set()
        lines = await world.store.read(lambda connection: journal.story_of_job(connection, job))
        would = [line.entry for line in lines if line.entry.kind == "claim.would_reserve"]
        assert [entry.mode for entry in would] == ["observe"]

    config = a_config(owner=(Owner(login="acme", repositories=("acme/app",)),), rails=Rails(mode="observe"))
    play(story, config)


def test_a_fork_waits_until_its_origin_is_known_and_is_then_refused(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build", fork=True)
        await world.sweep()
        await world.dispatch()
        await world.act()
        await world.dispatch()
        assert await world.claim_of(job) is None

    config = a_config(pool=(a_pool(trust="no-forks"),), owner=(Owner(login="acme", repositories=("acme/app",)),))
    play(story, config)


def test_a_job_whose_run_no_webhook_told_is_learnt_and_then_claimed(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        (run,) = world.github.world.runs
        await world.store.write(lambda tx: apply_job_news(tx, job_news(job, run_id=run, labels=LABELS), world.config))
        await world.dispatch()
        assert await world.claim_of(job) is None
        await world.act()
        await world.dispatch()
        assert await world.claim_of(job) is not None

    config = a_config(pool=(a_pool(trust="no-forks"),), owner=(Owner(login="acme", repositories=("acme/app",)),))
    play(story, config)
