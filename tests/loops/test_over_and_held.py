"""Slots held by what is over: a lost host, a process that outlives its job (R29), a runner given up."""

from datetime import timedelta
from typing import Any

import pytest

from andon.github.outcomes import Failed, FailureClass
from andon.github.runner_payloads import RunnerObject
from andon.model.claim_states import RECLAIMED, ClaimState
from andon.model.rails import Rail, RailMode
from andon.model.wire import SlotState
from andon.store import hosts, journal
from andon.store.apply_news import apply_job_news
from andon.store.apply_sync import wishes
from andon.store.rail_gate import switch
from tests.support.builders import START, idle, job_news, slot_of, the_end
from tests.support.minted_runners import connect, minted, take


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


def test_a_slot_whose_process_is_gone_without_a_word_is_free_soon_after_its_job(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        runner = connect(world, claim)
        await world.report(slot_of(claim, SlotState.RUNNING), idle(1))
        take(world, runner)
        await world.sweep()
        await world.report(idle(0), idle(1))
        world.github.execution.complete(runner, claim.job_id, "failure")
        await world.sweep()
        assert (await world.claim(claim.id)).state is ClaimState.BUSY, "the report of the end may be on its way"
        await world.pass_time(61)
        await world.deadlines()
        assert (await world.claim(claim.id)).state is ClaimState.SETTLED

    play(story)


async def outlives(world: Any) -> Any:
    """A claim whose job completed at GitHub just now, and whose process lives on."""
    (claim,) = await minted(world)
    runner = connect(world, claim)
    await world.report(slot_of(claim, SlotState.RUNNING), idle(1))
    take(world, runner)
    await world.sweep()
    world.github.execution.complete(runner, claim.job_id, "success")
    await world.sweep()
    return await world.claim(claim.id)


async def quarter(world: Any, claim: Any, *, minutes: float = 15) -> None:
    """So much time passes; the process is still there."""
    await world.pass_time(minutes * 60 + 1)
    await world.report(slot_of(claim, SlotState.RUNNING), idle(1))
    await world.deadlines()
    await world.act()


async def stops(world: Any) -> list[str]:
    mode = await world.store.read(lambda connection: world.fleet.mode(connection, Rail.RESCUE))
    wish = await world.store.read(
        lambda c: wishes(c, "host-a", now=world.clock.now(), ack=1, resync=False, policy={}, mode=mode)
    )
    return [order.claim for order in wish.stop]


async def kinds(world: Any, claim: Any) -> list[str]:
    lines = await world.store.read(lambda connection: journal.story_of_job(connection, claim.job_id))
    return [line.entry.kind for line in lines]


def test_a_process_that_outlives_its_job_is_ended_and_its_slot_reclaimed(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await outlives(world)
        await quarter(world, claim, minutes=14)
        assert ((await world.claim(claim.id)).state, await stops(world)) == (ClaimState.BUSY, [])
        await quarter(world, claim, minutes=1)
        after = await world.claim(claim.id)
        assert (after.state, after.reason) == (ClaimState.SETTLED, RECLAIMED)
        assert await stops(world) == [claim.id], "of exactly this claim (R32)"
        assert ("andon_rescues_total", {"kind": "outlived"}) in world.counted, "counted apart"
        await world.report(slot_of(claim, SlotState.STOPPING), idle(1))
        assert await stops(world) == [claim.id], "until it is gone"
        await world.report(idle(0), idle(1), ended=(the_end(claim, signal=15),))
        assert await stops(world) == []
        free = await world.store.read(lambda connection: hosts.free_slots(connection, world.clock.now()))
        assert [slot.slot for slot in free] == [0, 1]
        assert (await world.job(claim.job_id)).conclusion == "success"

    play(story)


@pytest.mark.parametrize("word", ["observe", "off"])
def test_a_rail_that_does_not_act_reclaims_nothing(play: Any, word: RailMode) -> None:
    async def story(world: Any) -> None:
        claim = await outlives(world)
        await world.store.write(lambda tx: switch(tx, Rail.RESCUE, word, reason="a test", fleet="act"))
        world.calls.clear()
        for _ in range(4):
            await quarter(world, claim)
        assert ((await world.claim(claim.id)).state, await stops(world)) == (ClaimState.BUSY, [])
        assert (await kinds(world, claim)).count("slot.would_reclaim") == (1 if word == "observe" else 0)
        assert world.calls.total() == 0
        await world.store.write(lambda tx: switch(tx, Rail.RESCUE, "act", reason="a test", fleet="act"))
        await world.act()
        assert await stops(world) == [claim.id]

    play(story)


def test_a_runner_that_github_calls_busy_is_left_alone(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await outlives(world)
        real = world.fleet.github.find_runner

        async def busy(*asked: Any) -> RunnerObject:
            return RunnerObject(id=7, name=claim.runner_name, status="online", busy=True)

        world.fleet.github.find_runner = busy
        for _ in range(3):
            await quarter(world, claim)
        assert ((await world.claim(claim.id)).state, await stops(world)) == (ClaimState.BUSY, [])
        assert (await kinds(world, claim)).count("claim.overlong") == 3, "and told"
        world.fleet.github.find_runner = real
        await quarter(world, claim)
        assert await stops(world) == [claim.id]

    play(story)


def test_a_registration_that_github_will_not_remove_keeps_its_process(play: Any) -> None:
    """422: a job came to it between our look and our removal."""

    async def story(world: Any) -> None:
        claim = await outlives(world)

        async def listed(*asked: Any) -> RunnerObject:
            return RunnerObject(id=7, name=claim.runner_name, status="online", busy=False)

        async def refused(*asked: Any) -> Failed:
            return Failed(kind=FailureClass.INVALID, status=422, message="it is busy")

        world.fleet.github.find_runner, world.fleet.github.delete_runner = listed, refused
        for _ in range(2):
            await quarter(world, claim)
        assert ((await world.claim(claim.id)).state, await stops(world)) == (ClaimState.BUSY, [])

    play(story)


def test_another_job_in_progress_on_the_runner_keeps_its_process(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await outlives(world)
        news = job_news(77, "in_progress", runner_name=claim.runner_name, runner_id=claim.runner_id)
        await world.store.write(lambda tx: apply_job_news(tx, news, world.config))
        # Whatever our own table says of the claim's demand.
        back = f"UPDATE claims SET job_id = {claim.job_id}, deadline = 0"
        await world.store.write(lambda tx: tx.connection.exec_driver_sql(back))
        for _ in range(2):
            await quarter(world, claim)
        assert ((await world.claim(claim.id)).state, await stops(world)) == (ClaimState.BUSY, [])

    play(story)


@pytest.mark.parametrize("status", [500, 404])
def test_a_question_that_is_not_answered_ends_nothing(play: Any, status: int) -> None:
    async def story(world: Any) -> None:
        claim = await outlives(world)
        world.fault(kind="api_error", match={"endpoint": "GET *"}, status=status)
        for _ in range(3):
            await quarter(world, claim)
        assert ((await world.claim(claim.id)).state, await stops(world)) == (ClaimState.BUSY, [])
        world.github.faults.clear()
        await quarter(world, claim)
        assert await stops(world) == [claim.id]

    play(story)


def test_a_process_that_is_reported_again_after_its_claim_was_settled_is_reclaimed(play: Any) -> None:
    """Its host was silent for so long that the claim was settled without it."""

    async def story(world: Any) -> None:
        claim = await outlives(world)
        await world.store.write(lambda tx: hosts.fall_silent(tx, tx.now + timedelta(seconds=1)))
        await world.pass_time(15 * 60 + 1)
        await world.deadlines()
        assert (await world.claim(claim.id)).state is ClaimState.SETTLED
        assert await stops(world) == []
        await world.report(slot_of(claim, SlotState.RUNNING), idle(1))
        await world.act()
        assert await stops(world) == [claim.id]
        assert (await kinds(world, claim)).count("claim.reclaimed") == 1

    play(story)


def test_a_process_has_its_quarter_of_an_hour_whatever_became_of_its_claim(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await outlives(world)
        await world.report(idle(0), idle(1), ended=(the_end(claim),))
        await world.report(slot_of(claim, SlotState.RUNNING), idle(1))
        for _ in range(2):
            await world.act()
            assert await stops(world) == []
            await world.pass_time(7 * 60)
        await quarter(world, claim, minutes=2)
        assert await stops(world) == [claim.id]

    play(story)


def test_an_end_in_good_time_is_no_business_of_ours(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await outlives(world)
        await world.report(idle(0), idle(1), ended=(the_end(claim),))
        world.calls.clear()
        await world.pass_time(15 * 60 + 1)
        await world.deadlines()
        await world.act()
        assert (await world.claim(claim.id)).reason != RECLAIMED
        assert world.calls.total() == 0

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
