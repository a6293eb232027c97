"""Claims in doubt: GitHub is asked first, nothing in progress is touched, a late answer is no answer."""

from datetime import timedelta
from typing import Any

import pytest

from andon.model.claim_states import ClaimState
from andon.model.config import Owner, Rails
from andon.model.job_states import JobStatus
from andon.model.wire import SlotState
from andon.store import hosts, journal
from andon.store.apply_news import apply_job_news
from andon.store.apply_sync import wishes
from tests.loops.test_stale_leader import stop_at
from tests.support.builders import LABELS, START, a_config, a_pool, idle, job_news, slot_of, the_end


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


def test_a_removal_from_a_place_out_of_reach_is_tried_ever_more_slowly_and_not_for_ever(play: Any) -> None:
    async def story(world: Any) -> None:
        payload = {"owner": "acme", "repository": "acme/app", "name": "andon-f-x"}
        await world.store.write(lambda tx: tx.order("retire_runner", key="x", subject="clm_x", payload=payload))
        world.fault(**GONE_EVERYWHERE, status=404)
        world.calls.clear()
        tries: list[int] = []
        for _ in range(24):
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


def test_a_shuffle_that_no_webhook_told_is_found_by_one_sweep(play: Any) -> None:
    async def story(world: Any) -> None:
        one, two = await minted(world, "a", "b")
        # Whatever chance has decided before, it decides for the other job now.
        world.github.world.chance.seed(3)
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


def test_a_released_runner_that_a_job_in_progress_names_is_never_stopped(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        await world.report(slot_of(claim, SlotState.RUNNING), idle(1))
        await world.store.write(lambda tx: tx.connection.exec_driver_sql("UPDATE claims SET state = 'released'"))

        def stops(connection: Any) -> int:
            return len(wishes(connection, "host-a", now=START, ack=1, resync=False, policy={}).stop)

        assert await world.store.read(stops) == 1
        take(world, connect(world, claim))
        await world.sweep()
        assert await world.store.read(stops) == 0

    play(story)


def test_enough_old_forks_never_hide_a_job_that_can_be_placed(play: Any) -> None:
    async def story(world: Any) -> None:
        world.run(*(f"fork {number}" for number in range(6)), fork=True)
        (trusted,) = world.run("trusted")
        await world.sweep()
        await world.dispatch()
        assert await world.claim_of(trusted) is not None

    play(story, a_config(pool=(a_pool(trust="no-forks"),), owner=(Owner(login="acme", repositories=("acme/app",)),)))


def test_a_cap_holds_whatever_the_case_of_its_name(play: Any) -> None:
    async def story(world: Any) -> None:
        # As a webhook tells it: in GitHub's spelling, which is not the configuration's.
        job_ids = [1, 2]
        for number in job_ids:
            news = job_news(number, repository="acme/app", labels=LABELS)
            await world.store.write(lambda tx, news=news: apply_job_news(tx, news, world.config))
        await world.dispatch()
        claimed = [job for job in job_ids if await world.claim_of(job) is not None]
        assert len(claimed) == 1
        job = await world.job(job_ids[0])
        assert (job.owner, job.repository) == ("Acme", "Acme/App")

    play(story, a_config(owner=(Owner(login="Acme", max_slots=1, repositories=("Acme/App",)),)))


def test_a_lost_host_does_not_hold_its_owners_cap_for_ever(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        runner = connect(world, claim)
        await world.report(slot_of(claim, SlotState.RUNNING), idle(1))
        take(world, runner)
        await world.sweep()
        world.github.execution.complete(runner, claim.job_id, "failure")
        await world.sweep()
        await world.store.write(lambda tx: hosts.fall_silent(tx, tx.now + timedelta(seconds=1)))
        await world.pass_time(14 * 60)
        await world.deadlines()
        assert (await world.claim(claim.id)).state is ClaimState.BUSY
        await world.pass_time(61)
        await world.deadlines()
        assert (await world.claim(claim.id)).state is ClaimState.SETTLED

    play(story)


def test_a_process_that_outlives_its_job_is_told_and_left_alone(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        runner = connect(world, claim)
        await world.report(slot_of(claim, SlotState.RUNNING), idle(1))
        take(world, runner)
        world.github.execution.complete(runner, claim.job_id, "success")
        await world.sweep()
        for _ in range(3):
            await world.pass_time(15 * 60 + 1)
            await world.report(slot_of(claim, SlotState.RUNNING), idle(1))
            await world.deadlines()
        assert (await world.claim(claim.id)).state is ClaimState.BUSY
        lines = await world.store.read(lambda connection: journal.story_of_job(connection, claim.job_id))
        assert [line.entry.kind for line in lines].count("claim.overlong") == 3

    play(story)


def test_demand_of_a_run_that_github_lost_ends(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        world.github.runs.list = lambda *args, **kwargs: []
        world.fault(kind="api_error", match={"endpoint": "GET */actions/runs/*"}, status=404)
        for expected in (JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.COMPLETED):
            await world.sweep()
            assert (await world.job(job)).status is expected

    play(story)


def test_one_repositorys_trouble_does_not_hide_the_others_news(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build", repository="acme/other")
        asking = world.fleet.github.newest_runs

        async def broken(repository: str, count: int) -> Any:
            if repository == "acme/app":
                raise RuntimeError("a bug of ours")
            return await asking(repository, count)

        world.fleet.github.newest_runs = broken
        await world.sweep()
        assert (await world.job(job)).status is JobStatus.QUEUED
        assert world.log.faults == ["sweep.broke"]

    play(story, a_config(owner=(Owner(login="acme", repositories=("acme/app", "acme/other")),)))
