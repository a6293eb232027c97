"""Observe mode: nothing outside is changed by any loop, each act is journalled once, and the switch
back performs what is still wanted (R98)."""

from typing import Any

import msgspec
import pytest

from andon.loops.acts.table import acts
from andon.model.claim_states import ClaimEvent, ClaimState
from andon.model.config import Config, Owner, Rails
from andon.model.job_states import JobStatus
from andon.model.wire import SlotState
from andon.rules.rails import RAILS
from andon.store import claims, journal, outbox
from andon.store.apply_sync import note_withheld_stops, wishes
from andon.store.claims import Change
from andon.store.doubt import doubt
from andon.store.rails import note_mode
from tests.support.builders import a_config, idle, slot_of, the_end
from tests.support.running import read, write

ACTING = a_config(owner=(Owner(login="acme", repositories=("acme/app",)),))
OBSERVING: Config = msgspec.structs.replace(ACTING, rails=Rails(mode="observe"))
WRITES = ("POST ", "DELETE ", "PUT ", "PATCH ")


async def switch(world: Any, config: Config) -> None:
    """The control plane starts again with another mode."""
    world.configure(config)
    await world.store.write(lambda tx: note_mode(tx, config.rails.mode))


def changes_at_github(world: Any) -> int:
    return sum(count for call, count in world.github.truth()["calls"].items() if call.startswith(WRITES))


async def would(world: Any) -> list[str]:
    """Kinds of the journal lines of observe mode, oldest first."""
    lines = await world.store.read(lambda connection: journal.newest(connection, 500))
    return [line.entry.kind for line in lines if line.entry.mode == "observe" and "would" in line.entry.kind][::-1]


async def everything(world: Any, *, seconds: float = 70.0) -> None:
    """One pass of every loop, then time for every deadline to come."""
    for step in (world.sweep, world.deliver, world.dispatch, world.act, world.deadlines, world.act):
        await step()
    await world.pass_time(seconds)


def observed_acts(world: Any) -> list[str]:
    return sorted(
        labels["rail"]
        for name, labels in world.counted
        if name == "andon_automatic_acts_total" and labels["mode"] == "observe"
    )


def test_every_kind_of_act_has_a_place_in_the_table() -> None:
    assert set(acts(None)) == set(RAILS)  # pyright: ignore[reportArgumentType]


def test_the_first_start_in_observe_mode_changes_nothing_anywhere(play: Any) -> None:
    async def story(world: Any) -> None:
        world.run("build")
        for _ in range(4):
            await everything(world)
        assert changes_at_github(world) == 0
        assert await would(world) == ["claim.would_reserve"]

    play(story, OBSERVING)


def test_a_mint_decided_before_the_switch_waits_and_is_done_after_it(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        await world.dispatch()
        claim = await world.the_claim(job)
        await switch(world, OBSERVING)
        for _ in range(4):
            await everything(world)
        assert changes_at_github(world) == 0
        assert (await world.claim(claim.id)).state is ClaimState.RESERVED, "not released: that would be an act too"
        assert await would(world) == ["runner.would_mint", "claim.would_release"]
        assert observed_acts(world) == ["dispatch", "rescue"]
        await world.act()  # held back once more, for a minute; the switch does not wait for its end
        await switch(world, ACTING)
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.MINTED
        assert world.registrations() == {claim.runner_name}

    play(story, ACTING)


def test_what_is_not_wanted_any_more_is_not_done_after_the_switch(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        await world.dispatch()
        claim = await world.the_claim(job)
        await switch(world, OBSERVING)
        world.cancel_the_run()
        for _ in range(3):
            await everything(world)
        assert (await world.job(job)).status is JobStatus.COMPLETED, "what GitHub says is kept in either mode"
        assert (await world.claim(claim.id)).state is ClaimState.RESERVED
        assert "claim.would_release" in await would(world)
        await switch(world, ACTING)
        await world.pass_time(61)
        for step in (world.deadlines, world.act):
            await step()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        assert world.registrations() == set()

    play(story, ACTING)


async def minted(world: Any) -> Any:
    (job,) = world.run("build")
    await world.sweep()
    await world.dispatch()
    await world.act()
    return await world.the_claim(job)


def test_a_claim_in_doubt_is_asked_about_and_not_given_up(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await minted(world)
        await world.report(slot_of(claim, SlotState.STARTING), idle(1))
        await switch(world, OBSERVING)
        await world.report(idle(0), idle(1), ended=(the_end(claim, exit=1),))
        before = changes_at_github(world)
        for _ in range(4):
            await everything(world)
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED
        assert changes_at_github(world) == before
        assert await would(world) == ["claim.would_release"]
        story_of_job = await world.store.read(lambda connection: journal.story_of_job(connection, claim.job_id))
        (line,) = [each for each in story_of_job if each.entry.kind == "claim.would_release"]
        assert (line.entry.evidence["job_is"], line.entry.evidence["process_is"]) == ("queued", "gone")
        await switch(world, ACTING)
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        assert world.registrations() == set()

    play(story, ACTING)


def test_a_registration_waits_for_the_switch_to_be_removed(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await minted(world)
        payload = {"owner": "acme", "repository": "acme/app", "name": claim.runner_name}
        await world.store.write(lambda tx: doubt(tx, claim, actor="test", reason="nobody knows"))
        orphaned = await world.claim(claim.id)
        given_up = Change(event=ClaimEvent.GIVEN_UP, actor="test", reason="nobody uses it")
        await world.store.write(lambda tx: claims.advance(tx, orphaned, given_up))
        await switch(world, OBSERVING)
        await world.store.write(lambda tx: tx.order("retire_runner", key="r", subject=claim.id, payload=payload))
        for _ in range(3):
            await world.act()
            await world.pass_time(61)
        assert world.registrations() == {claim.runner_name}
        assert (await would(world)).count("runner.would_retire") == 1
        await switch(world, ACTING)
        await world.act()
        assert world.registrations() == set()

    play(story, ACTING)


def test_a_job_that_runs_when_the_mode_is_switched_goes_on_and_settles(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await minted(world)
        await world.report(slot_of(claim, SlotState.LISTENING), idle(1))
        await switch(world, OBSERVING)
        wish = await world.store.read(
            lambda c: wishes(c, "host-a", now=world.clock.now(), ack=1, resync=False, policy={}, mode="observe")
        )
        assert wish.stop == ()
        await world.bind(claim)
        assert (await world.claim(claim.id)).state is ClaimState.BUSY
        await world.report(idle(0), idle(1), ended=(the_end(claim),))
        assert (await world.claim(claim.id)).state is ClaimState.SETTLED
        assert await would(world) == []

    play(story, ACTING)


def test_a_minted_runner_is_still_started(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await minted(world)
        await switch(world, OBSERVING)
        wish = await world.store.read(
            lambda c: wishes(c, "host-a", now=world.clock.now(), ack=1, resync=False, policy={}, mode="observe")
        )
        assert [order.id for order in wish.claims] == [claim.id]

    play(story, ACTING)


def test_no_process_is_stopped_and_it_is_said_once(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await minted(world)
        await world.report(slot_of(claim, SlotState.LISTENING), idle(1))

        def give_up(tx: Any) -> None:
            for event in (ClaimEvent.DOUBTED, ClaimEvent.GIVEN_UP):
                known = claims.get_claim(tx.connection, claim.id)
                assert known is not None
                claims.advance(tx, known, Change(event=event, actor="test", reason="given up"))

        await world.store.write(give_up)
        said = [await world.store.write(lambda tx: note_withheld_stops(tx, "host-a")) for _ in range(3)]
        assert said == [1, 0, 0]
        assert "runner.would_stop" in await would(world)

        async def stops(mode: Any) -> list[str]:
            wish = await world.store.read(
                lambda c: wishes(c, "host-a", now=world.clock.now(), ack=1, resync=False, policy={}, mode=mode)
            )
            return [order.claim for order in wish.stop]

        assert await stops("observe") == []
        assert await stops("act") == [claim.id]

    play(story, ACTING)


def test_an_act_of_a_kind_that_the_table_lacks_is_held(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: Any) -> None:
        await world.store.write(lambda tx: tx.order("learn_run", key="k", subject="1", payload={}))
        monkeypatch.setattr("andon.rules.rails.RAILS", {})
        await world.act()
        assert await would(world) == ["act.would_perform"]
        assert await world.store.read(lambda c: outbox.is_pending(c, "learn_run", "1"))

    play(story, OBSERVING)


def test_a_change_of_the_mode_is_journalled_once(store: Any) -> None:
    changed = [write(store, lambda tx, mode=mode: note_mode(tx, mode)) for mode in ("observe", "observe", "act", "act")]
    assert changed == [True, False, True, False]
    lines = read(store, lambda connection: journal.newest(connection, 10))
    moves = [(line.entry.from_state, line.entry.to_state) for line in lines]
    assert moves == [("observe", "act"), (None, "observe")]
