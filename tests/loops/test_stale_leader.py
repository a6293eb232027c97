"""A leader that was stopped between a question and its act removes nothing of its successor's (law 5)."""

import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from andon.loops.acts.mint_runner import mint_runner
from andon.loops.acts.resolve_claim import resolve_claim
from andon.loops.acts.retire_runner import retire_runner
from andon.loops.fleet import Fleet
from andon.loops.leadership import LEADER
from andon.loops.outbox import Outbox
from andon.loops.sweep import Sweep
from andon.model.claim_states import LIVE, ClaimEvent, ClaimState
from andon.model.config import Owner
from andon.model.job_states import JobStatus
from andon.model.machine import Rejected
from andon.store import outbox
from andon.store.claims import Change, advance
from andon.store.database import Unavailable
from andon.store.doubt import doubt
from andon.store.leases import Fenced, take
from andon.store.outbox import Act
from tests.loops.test_observing import OBSERVING, switch
from tests.support.builders import a_config


class Stopped:
    """GitHub, but something happens once, `before` or after a call is answered."""

    def __init__(self, real: Any, call: str, meanwhile: Callable[[], Awaitable[None]], *, before: bool = False) -> None:
        self._real, self._call, self._meanwhile, self._before = real, call, meanwhile, before
        self.happened = False

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name != self._call or self.happened:
            return real

        async def call(*given: Any, **named: Any) -> Any:
            self.happened = True
            if self._before:
                await self._meanwhile()
            answer = await real(*given, **named)
            if not self._before:
                await self._meanwhile()
            return answer

        return call


async def the_act(world: Any, kind: str) -> Act:
    due = await world.store.read(lambda connection: outbox.due(connection, world.clock.now(), 10, frozenset()))
    (act,) = [act for act in due if act.kind == kind]
    return act


async def another_leads(world: Any) -> Fleet:
    lease = await world.store.write(lambda tx: take(tx, LEADER, "other", lasts=timedelta(seconds=15), alone=True))
    return Fleet(
        config=world.config,
        store=world.store,
        github=world.another_wire,
        clock=world.clock,
        log=world.log,
        fleet_id="f",
        count=world.fleet.count,
        lease=lambda: lease,
    )


def stop_at(world: Any, call: str, meanwhile: Callable[[], Awaitable[None]], *, before: bool = False) -> Stopped:
    world.another_wire = world.fleet.github
    world.fleet.github = Stopped(world.fleet.github, call, meanwhile, before=before)
    return world.fleet.github


async def reserved(world: Any) -> Any:
    (job,) = world.run("build")
    await world.sweep()
    await world.dispatch()
    return await world.the_claim(job)


async def minted(world: Any) -> Any:
    claim = await reserved(world)
    await world.act()
    return await world.claim(claim.id)


async def in_doubt(world: Any) -> Any:
    claim = await minted(world)
    moved = await world.store.write(lambda tx: doubt(tx, claim, actor="test", reason="nobody knows"))
    assert not isinstance(moved, Rejected)
    return await world.claim(claim.id)


@pytest.mark.parametrize("call", ["mint_runner", "find_runner"])
def test_a_runner_that_the_successor_minted_stays(play: Any, call: str) -> None:
    async def story(world: Any) -> None:
        claim = await reserved(world)
        act = await the_act(world, "mint_runner")
        if call == "find_runner":
            # Somebody's lost answer is there already, so the stale leader gets as far as its look.
            wanted = act.payload
            scope = world.fleet.scope(claim.owner, claim.repository)
            await world.fleet.github.mint_runner(
                scope, name=wanted["name"], group=wanted["group"], labels=tuple(wanted["labels"])
            )

        async def meanwhile() -> None:
            successor = await another_leads(world)
            for _ in range(2):
                await mint_runner(successor, act)
            assert (await world.claim(claim.id)).state is ClaimState.MINTED

        # Before the mint is sent, or before the look at the name.
        stopped = stop_at(world, call, meanwhile, before=True)
        with contextlib.suppress(Fenced):
            await mint_runner(world.fleet, act)
        assert stopped.happened
        assert (await world.claim(claim.id)).state is ClaimState.MINTED
        assert world.registrations() == {claim.runner_name}

    play(story)


def test_a_name_whose_claim_moved_on_is_not_freed(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await reserved(world)
        act = await the_act(world, "mint_runner")
        scope = world.fleet.scope(claim.owner, claim.repository)
        wanted = act.payload
        await world.fleet.github.mint_runner(
            scope, name=wanted["name"], group=wanted["group"], labels=tuple(wanted["labels"])
        )

        async def meanwhile() -> None:
            now = await world.claim(claim.id)
            change = Change(event=ClaimEvent.MINTED, actor="test", reason="by another hand")
            await world.store.write(lambda tx: advance(tx, now, change))

        stopped = stop_at(world, "find_runner", meanwhile)
        await mint_runner(world.fleet, act)
        assert stopped.happened
        assert world.registrations() == {claim.runner_name}

    play(story)


async def _by_a_successor(world: Any, claim: Any) -> None:
    await another_leads(world)


async def _by_news(world: Any, claim: Any) -> None:
    await world.bind(claim)


@pytest.mark.parametrize("how", [_by_a_successor, _by_news])
def test_a_claim_in_doubt_that_moved_on_keeps_its_registration(play: Any, how: Any) -> None:
    async def story(world: Any) -> None:
        claim = await in_doubt(world)
        await world.pass_time(30)
        world.cancel_the_run()
        act = await the_act(world, "resolve_claim")

        async def meanwhile() -> None:
            await how(world, claim)

        stopped = stop_at(world, "find_runner", meanwhile)
        with contextlib.suppress(Fenced):
            await resolve_claim(world.fleet, act)
        assert stopped.happened
        assert world.registrations() == {claim.runner_name}
        assert (await world.claim(claim.id)).state in LIVE

    play(story)


@pytest.mark.parametrize("whose", ["a successor's", "a live claim's"])
def test_a_removal_that_was_ordered_asks_once_more(play: Any, whose: str) -> None:
    async def story(world: Any) -> None:
        claim = await minted(world)
        payload = {"owner": claim.owner, "repository": claim.repository, "name": claim.runner_name}
        await world.store.write(lambda tx: tx.order("retire_runner", key="x", subject=claim.id, payload=payload))
        act = await the_act(world, "retire_runner")

        async def meanwhile() -> None:
            if whose == "a successor's":
                change = Change(event=ClaimEvent.GIVEN_UP, actor="test", reason="as ordered")
                now = await world.claim(claim.id)
                await world.store.write(lambda tx: doubt(tx, now, actor="test", reason="nobody knows"))
                now = await world.claim(claim.id)
                await world.store.write(lambda tx: advance(tx, now, change))
                assert (await world.claim(claim.id)).state is ClaimState.RELEASED
                await another_leads(world)

        stopped = stop_at(world, "find_runner", meanwhile)
        with contextlib.suppress(Fenced):
            await retire_runner(world.fleet, act)
        assert stopped.happened
        assert world.registrations() == {claim.runner_name}

    play(story)


def test_a_held_mint_of_a_job_that_is_over_gives_its_claim_back(play: Any) -> None:
    async def story(world: Any) -> None:
        acting = world.config
        claim = await reserved(world)
        await switch(world, msgspec.structs.replace(acting, rails=OBSERVING.rails))
        await world.act()
        world.cancel_the_run()
        await world.pass_time(5)
        await world.sweep()
        assert (await world.job(claim.job_id)).status is JobStatus.COMPLETED
        assert (await world.claim(claim.id)).state is ClaimState.RESERVED
        await switch(world, acting)
        world.calls.clear()
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        assert not [call for call, _ in world.calls if "generate-jitconfig" in call], "nothing is minted for it"
        assert world.registrations() == set()

    play(story)


def test_a_sweep_that_loses_the_lead_says_so_and_reads_no_further(play: Any) -> None:
    """It is no fault of ours, and no failure to read a repository: the loop stops as every other one does."""
    many = tuple(f"acme/app-{number}" for number in range(12))

    async def story(world: Any) -> None:
        for repository in many:
            world.run("build", repository=repository)

        async def meanwhile() -> None:
            await another_leads(world)

        stopped = stop_at(world, "newest_runs", meanwhile)
        with pytest.raises(Fenced):
            await Sweep(world.fleet).run_once()
        assert stopped.happened and world.log.faults == []
        assert [name for name, _ in world.counted if name == "andon_sweeps_failed_total"] == []

    play(story, a_config(owner=(Owner(login="acme", repositories=many),)))


def test_an_act_that_failed_when_somebody_else_began_to_lead_is_left_to_them(play: Any) -> None:
    """A database that was away lets it fail and gives the lead to another: no fault of ours, and tried no more here."""

    async def story(world: Any) -> None:
        await reserved(world)
        tried: list[str] = []

        async def fails(act: Act) -> None:
            tried.append(act.id)
            await another_leads(world)
            raise Unavailable("the database is away")

        outbox_loop = Outbox(world.fleet, {"mint_runner": fails}, lambda: None)
        for _ in range(2):
            await outbox_loop.run_once()
            await outbox_loop.stop(30)
        assert len(tried) == 1
        assert world.log.faults == ["act.failed"], "that it failed is said, and nothing more"
        assert (await the_act(world, "mint_runner")).attempts == 0

    play(story)
