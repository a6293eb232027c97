"""A slot whose runners end at once rests, longer each time, so that it does not eat GitHub's quota (N3)."""

from datetime import timedelta
from typing import Any

from andon.loops.dispatch import Dispatch
from andon.model.claim_states import ClaimState
from andon.model.slot_rests import RESTS
from andon.model.wire import SlotState
from andon.store import fleet_views, hosts, job_views, journal
from andon.store.host_intents import change_intent
from tests.support.builders import idle, slot_of, the_end


async def fail(world: Any, job_id: int, **end: Any) -> Any:
    """The job's runner is started and ends at once, and GitHub is asked; gives the claim."""
    await world.dispatch()
    await world.act()
    claim = await world.the_claim(job_id)
    await world.report(*[slot_of(claim, SlotState.STARTING) if n == claim.slot else idle(n) for n in (0, 1)])
    await world.report(idle(0), idle(1), ended=(the_end(claim, **{"exit": 1, **end}),))
    await world.act()
    assert (await world.claim(claim.id)).state is ClaimState.RELEASED
    return claim


async def slots(world: Any) -> dict[int, Any]:
    found = await world.store.read(hosts.all_slots)
    return {slot.slot: slot for slot in found}


async def lines(world: Any) -> list[Any]:
    newest = await world.store.read(lambda connection: journal.newest(connection, 500))
    return [line.entry for line in newest if line.entry.kind == "slot.rests"]


async def one_slot(world: Any) -> int:
    """A world whose host has one slot only, and one job that waits."""
    (job_id,) = world.run("build")
    await world.sweep()
    await world.report(idle(0))
    return int(job_id)


async def fail_alone(world: Any, job_id: int) -> None:
    await world.dispatch()
    await world.act()
    claim = await world.the_claim(job_id)
    await world.report(slot_of(claim, SlotState.STARTING))
    await world.report(idle(0), ended=(the_end(claim, exit=1),))
    await world.act()


def test_failed_starts_in_a_row_rest_longer_each_time_and_cost_less_and_less(play: Any) -> None:
    async def story(world: Any) -> None:
        job_id = await one_slot(world)
        for number, rest in enumerate([*RESTS, RESTS[-1]], start=1):
            await fail_alone(world, job_id)
            slot = (await slots(world))[0]
            assert slot.failed_starts == number
            if not rest:
                continue
            assert slot.rests_until == world.clock.now() + rest
            sent = world.calls.total()
            await world.pass_time(rest.total_seconds() - 1)
            await world.report(idle(0))
            await world.dispatch()
            await world.act()
            assert await world.claim_of(job_id) is None, "it gets nothing while it rests"
            assert world.calls.total() == sent, "and costs nothing"
            await world.pass_time(1)
        said = await lines(world)
        assert len(said) == len(RESTS), "once a rest"
        assert "8 runners in a row failed before they served a job" in said[0].reason
        assert said[0].subject_id == "host-a/0" and said[0].host == "host-a"

    play(story)


def test_dispatch_wakes_when_a_slot_has_rested(play: Any) -> None:
    async def story(world: Any) -> None:
        job_id = await one_slot(world)
        assert await Dispatch(world.fleet).run_once() is None
        await world.act()
        await fail_after_claim(world, job_id)
        await fail_alone(world, job_id)
        assert await Dispatch(world.fleet).run_once() == RESTS[1].total_seconds()

    async def fail_after_claim(world: Any, job_id: int) -> None:
        claim = await world.the_claim(job_id)
        await world.report(slot_of(claim, SlotState.STARTING))
        await world.report(idle(0), ended=(the_end(claim, exit=1),))
        await world.act()

    play(story)


def test_another_slot_serves_meanwhile(play: Any) -> None:
    async def story(world: Any) -> None:
        (job_id,) = world.run("build")
        await world.sweep()
        used = [(await fail(world, job_id)).slot for _ in range(3)]
        assert used == [0, 1, 0], "the other one first, and back where there is no other (T20)"
        assert (await slots(world))[0].rests_until is not None
        await world.dispatch()
        assert (await world.the_claim(job_id)).slot == 1

    play(story)


def test_a_runner_that_served_makes_what_failed_before_forgotten(play: Any) -> None:
    async def story(world: Any) -> None:
        job_id = await one_slot(world)
        for _ in range(2):
            await fail_alone(world, job_id)
        await world.pass_time(RESTS[1].total_seconds())
        await world.dispatch()
        await world.act()
        claim = await world.the_claim(job_id)
        await world.report(slot_of(claim, SlotState.RUNNING))
        await world.bind(claim)
        assert (await slots(world))[0].failed_starts == 2, "a report of the host changes nothing of it"
        await world.report(idle(0), ended=(the_end(claim),))
        slot = (await slots(world))[0]
        assert (slot.failed_starts, slot.rests_until) == (0, None)

    play(story)


def test_an_uncordon_or_a_new_start_of_the_agent_has_it_tried_at_once_and_forgets_nothing(play: Any) -> None:
    async def story(world: Any) -> None:
        job_id = await one_slot(world)
        for number in (2, 3):
            while (await slots(world))[0].failed_starts < number:
                await fail_alone(world, job_id)
            assert (await slots(world))[0].rests_until is not None
            if number == 2:
                await world.report(idle(0), boot_id="another")
            else:
                host = await world.store.read(lambda connection: hosts.get_host(connection, "host-a"))
                await world.store.write(
                    lambda tx, host=host: change_intent(tx, host, "cordon", actor="operator", reason="look")
                )
                host = await world.store.read(lambda connection: hosts.get_host(connection, "host-a"))
                await world.store.write(
                    lambda tx, host=host: change_intent(tx, host, "uncordon", actor="operator", reason="mended")
                )
            slot = (await slots(world))[0]
            assert (slot.failed_starts, slot.rests_until) == (number, None)

    play(story)


def test_demand_that_went_away_counts_for_nothing(play: Any) -> None:
    async def story(world: Any) -> None:
        job_id = await one_slot(world)
        await world.dispatch()
        await world.act()
        claim = await world.the_claim(job_id)
        await world.report(slot_of(claim, SlotState.STARTING))
        world.cancel_the_run()
        await world.pass_time(1)
        await world.sweep()
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        await world.report(idle(0), ended=(the_end(claim, exit=0),))
        assert (await slots(world))[0].failed_starts == 0

    play(story)


def test_a_rest_is_told_wherever_somebody_asks(play: Any) -> None:
    async def story(world: Any) -> None:
        job_id = await one_slot(world)
        for _ in range(2):
            await fail_alone(world, job_id)
        now = world.clock.now()
        until = f"{now + RESTS[1]:%H:%M:%S} UTC"

        def ask(connection: Any) -> Any:
            around = job_views.surroundings(connection, world.config, now)
            (job,) = job_views.waiting_jobs(connection, 5)
            return (
                job_views.explain_job(connection, job, around),
                fleet_views.host_views(connection, now)[0].slots[0],
                fleet_views.slot_notes(connection, now),
                fleet_views.pool_views(connection, world.config, now)[0],
            )

        answer, slot, notes, pool = await world.store.read(ask)
        assert answer.cause == "no_runner"
        assert answer.text == (
            "None of the 1 slots of pool linux can be claimed: "
            f"1 resting after failed starts (the first until {until})."
        )
        assert answer.facts["rested_at"] == (now + RESTS[1]).isoformat()
        assert (slot.state, slot.failed_starts, slot.rests_until) == ("unavailable", 2, now + RESTS[1])
        assert notes == {
            ("host-a", 0): f"rests until {until}: 2 runners in a row failed before they served a job",
        }
        assert pool.idle == 0, "a slot that has not proven it can take a job is not capacity (R38)"
        after = now + RESTS[1] + timedelta(seconds=1)
        rested = await world.store.read(lambda connection: fleet_views.host_views(connection, after)[0].slots[0])
        assert (rested.state, rested.rests_until) == ("idle", None)

    play(story)
