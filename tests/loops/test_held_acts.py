"""What a rail holds back costs nothing, stands in nobody's way, is told once, and blames nobody (R31, R98)."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from andon.loops.outbox import AT_ONCE
from andon.model.claim_states import ClaimState
from andon.model.config import Config, Owner, Rails
from andon.model.rails import Rail, RailMode
from andon.model.wire import SlotState
from andon.rules.rails import TICK, kinds_on, shut_kinds
from andon.store import journal, pauses
from andon.store.outbox import OFF
from andon.store.rail_gate import admit, switch
from andon.store.rails import note_mode
from andon.store.schema import outbox
from tests.support.builders import a_config, a_pool, idle, slot_of, the_end

ACTING: Config = a_config(pool=(a_pool(),), owner=(Owner(login="acme", repositories=("acme/app",)),))
OBSERVING: Config = msgspec.structs.replace(ACTING, rails=Rails(mode="observe"))


async def flip(world: Any, rail: Rail, mode: RailMode) -> None:
    fleet = world.config.rails.mode
    await world.store.write(lambda tx: switch(tx, rail, mode, reason="a test", fleet=fleet))


async def start_again(world: Any) -> None:
    world.configure(world.config)
    await world.store.write(lambda tx: note_mode(tx, world.config.rails.mode))


async def would(world: Any, kind: str) -> list[Any]:
    lines = await world.store.read(lambda connection: journal.newest(connection, 500))
    return [line.entry for line in lines if line.entry.kind == kind][::-1]


async def reserved(world: Any) -> Any:
    (job,) = world.run("build")
    await world.sweep()
    await world.dispatch()
    return await world.the_claim(job)


async def in_doubt(world: Any) -> Any:
    """A claim whose runner ended without a job: to be given up."""
    claim = await reserved(world)
    await world.act()
    await world.report(slot_of(claim, SlotState.STARTING), idle(1))
    await world.report(idle(0), idle(1), ended=(the_end(claim, exit=1),))
    return claim


async def a_removal(world: Any, name: str) -> None:
    payload = {"owner": "acme", "repository": "acme/app", "name": name}
    await world.store.write(lambda tx: tx.order("retire_runner", key=name, subject=name, payload=payload))


async def held_rows(world: Any, kind: str) -> list[Any]:
    query = select(outbox.c.result, outbox.c.not_before).where(outbox.c.kind == kind, outbox.c.state == "pending")
    return await world.store.read(lambda connection: connection.execute(query).all())


@pytest.mark.parametrize("word", ["off", "observe"])
def test_a_switch_before_the_mint_gives_the_claim_back_and_pauses_nobody(play: Any, word: RailMode) -> None:
    async def story(world: Any) -> None:
        claim = await reserved(world)
        await flip(world, Rail.DISPATCH, word)
        await world.act()
        await world.pass_time(31)
        await world.deadlines()
        after = await world.claim(claim.id)
        assert after.state is ClaimState.RELEASED
        assert after.reason.startswith("its runner was not minted: held back: its rail is ")
        assert await world.store.read(pauses.pauses) == [], "its owner has nothing to do with it"
        await flip(world, Rail.DISPATCH, "act")
        await world.dispatch()
        assert (await world.the_claim(claim.job_id)).id != claim.id

    play(story)


def test_what_would_be_done_is_told_once_whatever_fails_or_starts_in_between(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await in_doubt(world)
        await flip(world, Rail.RESCUE, "observe")
        await world.act()
        for _ in range(3):
            await start_again(world)
            await world.pass_time(3700)
            world.fault(kind="api_error", status=503, count=1)
            await world.act()
            await world.pass_time(3700)
            await world.act()
        (line,) = await would(world, "claim.would_release")
        assert (line.subject_id, line.evidence["process_is"]) == (claim.id, "gone")
        await flip(world, Rail.RESCUE, "act")
        await flip(world, Rail.RESCUE, "observe")
        await world.act()
        assert len(await would(world, "claim.would_release")) == 2, (
            "it was let go in between: what it holds back is news"
        )
        await flip(world, Rail.RESCUE, "act")
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED

    play(story)


def test_the_first_looks_evidence_is_kept(play: Any) -> None:
    async def story(world: Any) -> None:
        await in_doubt(world)
        await world.act()
        world.cancel_the_run()
        for _ in range(3):
            await world.pass_time(3700)
            await world.act()
        (line,) = await would(world, "claim.would_release")
        assert line.evidence["job_is"] == "queued"

    async def observed(world: Any) -> None:
        await flip(world, Rail.RESCUE, "observe")
        await story(world)

    play(observed)


@pytest.mark.parametrize("word", ["off", "observe"])
def test_a_held_rescue_asks_ever_more_seldom(play: Any, word: RailMode) -> None:
    async def story(world: Any) -> None:
        await in_doubt(world)
        await flip(world, Rail.RESCUE, word)
        before = world.calls.total()
        for _ in range(90):
            await world.act()
            await world.deadlines()
            await world.pass_time(240)
        asked = world.calls.total() - before
        assert 0 < asked <= 2 * 14, "six hours: at 0, 1, 2, 4 ... 64 minutes, then hourly"

    play(story)


def test_a_rescue_past_the_cap_asks_nothing_until_the_next_tick(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await in_doubt(world)

        def use_up(tx: Any) -> None:
            while admit(tx, Rail.RESCUE, "act").acts:
                pass

        await world.store.write(use_up)
        before = world.calls.total()
        for _ in range(5):
            await world.act()
            await world.pass_time(5)
        assert world.calls.total() == before
        await world.pass_time(TICK.total_seconds())
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED

    play(story)


def test_the_outbox_wakes_when_a_full_rail_opens(play: Any) -> None:
    async def story(world: Any) -> None:
        def use_up(tx: Any) -> None:
            while admit(tx, Rail.REGISTRATIONS, "act").acts:
                pass

        await world.store.write(use_up)
        await world.pass_time(10)
        assert await world._outbox.run_once() == TICK.total_seconds() - 10

    play(story)


def test_a_start_lets_go_of_nothing_that_a_switch_holds(play: Any) -> None:
    async def story(world: Any) -> None:
        world.run("build")
        await a_removal(world, "andon-f-gone")
        await flip(world, Rail.REGISTRATIONS, "off")
        await world.act()
        (before,) = await held_rows(world, "retire_runner")
        await world.pass_time(5)
        await start_again(world)
        assert await held_rows(world, "retire_runner") == [before]
        assert before.result == OFF
        await flip(world, Rail.REGISTRATIONS, "act")
        await world.act()
        assert await held_rows(world, "retire_runner") == []

    play(story)


def test_a_mint_that_waits_for_the_rail_of_removals_goes_on_with_it(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await reserved(world)
        world.fault(kind="mint_reply_lost", count=1)
        await world.act()
        await flip(world, Rail.REGISTRATIONS, "off")
        for _ in range(3):
            await world.pass_time(2)
            await world.act()
        (held,) = await held_rows(world, "mint_runner")
        assert held.result == OFF
        await flip(world, Rail.REGISTRATIONS, "act")
        await world.act()
        await world.pass_time(1)
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.MINTED

    play(story)


def test_what_is_held_back_stands_before_no_mint(play: Any) -> None:
    async def story(world: Any) -> None:
        await flip(world, Rail.REGISTRATIONS, "off")
        for number in range(2 * AT_ONCE):
            await a_removal(world, f"andon-f-gone-{number}")
        for _ in range(3):
            await world.act()
        await world.pass_time(3700)
        claim = await reserved(world)
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.MINTED, "in the first pass"

    play(story)


def _full(*rails: Rail) -> Callable[[Rail], bool]:
    return lambda rail: rail in rails


def test_which_kinds_are_shut() -> None:
    assert shut_kinds(lambda rail: "act", _full()) == ()
    assert shut_kinds(lambda rail: "act", _full(Rail.RESCUE)) == ("reclaim_slot", "resolve_claim")
    observed = shut_kinds(lambda rail: "observe", _full(Rail.RESCUE))
    assert set(observed) == {"mint_runner", "retire_runner", "reclaim_slot", "redeliver"}, "what only reads goes on"
    assert set(kinds_on(Rail.REGISTRATIONS)) == {"mint_runner", "retire_runner"}
