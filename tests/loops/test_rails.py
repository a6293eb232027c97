"""One gate for every automatic act: caps, switches, observe mode, and one alert an event (R31, law 7)."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert

from andon.loops.acts.table import acts
from andon.loops.claims import ClaimDeadlines
from andon.model.claim_states import ClaimState
from andon.model.config import Config, Owner, Rails
from andon.model.rails import Rail
from andon.model.wire import SlotState
from andon.rules.rails import CAPS, EVENT_ENDS, RAILS, TICK, Cap, kinds_on, rail_of, stricter
from andon.store import claims, journal, outbox, rail_gate
from andon.store.announcements import EVERYTHING
from andon.store.host_intents import follow_clock
from andon.store.hosts import enrol, get_host
from andon.store.rail_gate import admit, modes, switch
from andon.store.schema import rails, slots
from andon.store.transaction import Store
from tests.support.builders import START, a_claim, a_config, a_pool, a_report, idle, slot_of, the_end
from tests.support.running import read, write

ACTING: Config = a_config(pool=(a_pool(),), owner=(Owner(login="acme", repositories=("acme/app",)),))
OBSERVING: Config = msgspec.structs.replace(ACTING, rails=Rails(mode="observe"))
RESCUES = 30
"""The cap of a small fleet."""


async def lines(world: Any, kind: str) -> list[Any]:
    found = await world.store.read(lambda connection: journal.newest(connection, 500))
    return [line.entry for line in found if line.entry.kind == kind][::-1]


async def flip(world: Any, rail: Rail, mode: Any) -> None:
    fleet = world.config.rails.mode
    await world.store.write(lambda tx: switch(tx, rail, mode, reason="a test", fleet=fleet))


def counted(world: Any, name: str, rail: Rail) -> int:
    return sum(each == name and labels["rail"] == rail.value for each, labels in world.counted)


async def late_claims(world: Any, number: int) -> None:
    """So many claims whose JIT config never came."""

    def work(tx: Any) -> None:
        wanted = [a_claim(f"clm_{n:03}", job_id=1000 + n, slot=n, runner_name=f"andon-f-x-{n}") for n in range(number)]
        claims.reserve(tx, wanted)

    await world.store.write(work)


async def live(world: Any) -> int:
    return len(await world.store.read(claims.live_claims))


def test_what_holds_is_the_stricter_word() -> None:
    assert [stricter("act", word) for word in (None, "act", "observe", "off")] == ["act", "act", "observe", "off"]
    assert [stricter("observe", word) for word in (None, "act", "off")] == ["observe", "observe", "off"]


def test_every_rail_has_a_cap_or_says_why_not_and_every_kind_of_act_a_rail() -> None:
    assert set(CAPS) == set(Rail)
    assert [rail for rail, cap in CAPS.items() if cap is None] == [Rail.DISPATCH]
    unknown = rail_of("something new")
    assert unknown is not None and unknown.rail is Rail.RESCUE
    assert set(RAILS) == set(acts(None))  # pyright: ignore[reportArgumentType]
    assert kinds_on(Rail.RESCUE) == ("reclaim_slot", "resolve_claim")
    assert kinds_on(Rail.REDELIVERY) == ("redeliver",)


@pytest.mark.parametrize(("size", "limit"), [(0, 30), (16, 30), (60, 30), (61, 31), (1000, 500)])
def test_a_cap_grows_with_the_fleet(size: int, limit: int) -> None:
    assert Cap(least=30, share=0.5).limit(size) == limit


def test_a_direct_act_of_a_loop_stops_at_the_cap_and_goes_on_in_the_next_tick(play: Any) -> None:
    async def story(world: Any) -> None:
        await late_claims(world, 2 * RESCUES + 5)
        await world.pass_time(31)
        left = []
        for _ in range(3):
            await ClaimDeadlines(world.fleet).run_once()
            await ClaimDeadlines(world.fleet).run_once()
            left.append(await live(world))
            await world.pass_time(TICK.total_seconds())
        assert left == [RESCUES + 5, 5, 0]
        assert counted(world, "andon_automatic_acts_total", Rail.RESCUE) == 2 * RESCUES + 5
        assert counted(world, "andon_rail_capped_total", Rail.RESCUE) == 1, "once an event, not once a tick"
        (line,) = await lines(world, "rail.capped")
        assert (line.subject_id, line.evidence["cap"]) == ("rescue", RESCUES)

    play(story)


def test_a_cap_is_kept_over_a_restart(play: Any) -> None:
    async def story(world: Any) -> None:
        await late_claims(world, RESCUES + 5)
        await world.pass_time(31)
        await world.deadlines()
        world.configure(world.config)
        await world.deadlines()
        assert await live(world) == 5

    play(story)


def test_a_new_event_is_told_anew(play: Any) -> None:
    async def story(world: Any) -> None:
        cap = CAPS[Rail.TRACKER]
        assert cap is not None

        async def fill() -> list[bool]:
            asked = [await world.store.write(lambda tx: admit(tx, Rail.TRACKER, "act")) for _ in range(cap.least + 3)]
            assert [each.acts for each in asked] == [True] * cap.least + [False] * 3
            return [each.alert for each in asked]

        assert sum(await fill()) == 1
        await world.pass_time(TICK.total_seconds())
        assert sum(await fill()) == 0, "the same event goes on"
        await world.pass_time(EVENT_ENDS.total_seconds() + 1)
        assert sum(await fill()) == 1
        assert len(await lines(world, "rail.capped")) == 2

    play(story)


def test_a_clock_that_was_set_back_blocks_no_rail(play: Any) -> None:
    async def story(world: Any) -> None:
        def set_ahead(tx: Any) -> None:
            tx.now += timedelta(hours=5)
            for _ in range(50):
                admit(tx, Rail.TRACKER, "act")

        await world.store.write(set_ahead)
        assert (await world.store.write(lambda tx: admit(tx, Rail.TRACKER, "act"))).acts

    play(story)


async def _ends(world: Any) -> Any:
    """A claim whose runner ended without a job: to be given up."""
    (job,) = world.run("build")
    await world.sweep()
    await world.dispatch()
    await world.act()
    claim = await world.the_claim(job)
    await world.report(slot_of(claim, SlotState.STARTING), idle(1))
    await world.report(idle(0), idle(1), ended=(the_end(claim, exit=1),))
    return claim


async def use_up(world: Any, rail: Rail) -> None:
    def work(tx: Any) -> None:
        while admit(tx, rail, "act").acts:
            pass

    await world.store.write(work)


def test_a_rescue_past_the_cap_waits_for_the_next_tick(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await _ends(world)
        await use_up(world, Rail.RESCUE)
        for _ in range(3):
            await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED
        assert world.registrations() == {claim.runner_name}
        await world.pass_time(TICK.total_seconds())
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        assert world.registrations() == set()

    play(story)


async def _a_removal(world: Any, name: str = "andon-f-gone") -> None:
    scope = world.fleet.scope("acme", "acme/app")
    await world.fleet.github.mint_runner(scope, name=name, group=1, labels=("self-hosted",))
    payload = {"owner": "acme", "repository": "acme/app", "name": name}
    await world.store.write(lambda tx: tx.order("retire_runner", key=name, subject="clm_gone", payload=payload))


def test_a_removal_past_the_cap_costs_no_call_and_is_done_in_the_next_tick(play: Any) -> None:
    async def story(world: Any) -> None:
        world.run("build")
        await _a_removal(world)
        await use_up(world, Rail.REGISTRATIONS)
        before = sum(world.calls.values())
        for _ in range(3):
            await world.act()
        assert (world.registrations(), sum(world.calls.values())) == ({"andon-f-gone"}, before)
        await world.pass_time(TICK.total_seconds())
        await world.act()
        assert world.registrations() == set()

    play(story)


def test_a_cap_that_is_reached_while_github_is_asked_holds(play: Any) -> None:
    async def story(world: Any) -> None:
        world.run("build")
        await _a_removal(world)
        real = world.fleet.github.find_runner

        async def find_runner(*asked: Any, **how: Any) -> Any:
            found = await real(*asked, **how)
            await use_up(world, Rail.REGISTRATIONS)
            return found

        world.fleet.github.find_runner = find_runner
        await world.act()
        assert world.registrations() == {"andon-f-gone"}

    play(story)


def test_a_name_is_freed_on_the_rail_of_removals(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        await world.dispatch()
        world.fault(kind="mint_reply_lost", count=1)
        await world.act()
        (left_behind,) = [each["id"] for each in world.github.truth()["runners"]]
        await use_up(world, Rail.REGISTRATIONS)
        for _ in range(5):
            await world.pass_time(3)
            await world.act()
        there = [each["id"] for each in world.github.truth()["runners"] if each["status"] != "removed"]
        assert there == [left_behind]
        assert (await world.the_claim(job)).state is ClaimState.RESERVED

    play(story)


def test_what_turns_out_to_be_unnecessary_uses_nothing_of_the_cap(play: Any) -> None:
    async def story(world: Any) -> None:
        world.run("build")
        payload = {"owner": "acme", "repository": "acme/app", "name": "andon-f-never"}
        await world.store.write(lambda tx: tx.order("retire_runner", key="x", subject="clm_x", payload=payload))
        await world.act()
        found = await world.store.read(lambda connection: modes(connection, "act"))
        assert found.states == {}

    play(story)


@pytest.mark.parametrize(("word", "said"), [("observe", ["claim.would_release"]), ("off", [])])
def test_a_switched_rail_gives_nothing_up_and_goes_on_when_switched_back(play: Any, word: str, said: Any) -> None:
    async def story(world: Any) -> None:
        claim = await _ends(world)
        await flip(world, Rail.RESCUE, word)
        for _ in range(3):
            await world.act()
            await world.deadlines()
            await world.pass_time(61)
        world.configure(world.config)
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.ORPHANED
        assert world.registrations() == {claim.runner_name}
        assert [entry.kind for entry in await lines(world, "claim.would_release")] == said
        (job,) = world.run("another")
        await world.sweep()
        await world.dispatch()
        assert await world.claim_of(job) is not None, "the other rails act"
        await flip(world, Rail.RESCUE, "act")
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED

    play(story)


@pytest.mark.parametrize(("word", "said"), [("observe", 1), ("off", 0)])
def test_dispatch_switched_off_claims_nothing(play: Any, word: str, said: int) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        await flip(world, Rail.DISPATCH, word)
        for _ in range(3):
            await world.dispatch()
            await world.act()
        assert await world.claim_of(job) is None
        assert len(await lines(world, "claim.would_reserve")) == said
        await flip(world, Rail.DISPATCH, "act")
        await world.dispatch()
        assert await world.claim_of(job) is not None

    play(story)


def test_a_mint_is_held_while_dispatch_is_off(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        await world.dispatch()
        await flip(world, Rail.DISPATCH, "off")
        await world.act()
        assert world.registrations() == set()
        await flip(world, Rail.DISPATCH, "act")
        await world.act()
        assert (await world.the_claim(job)).state is ClaimState.MINTED

    play(story)


def test_a_switch_cannot_let_act_what_the_fleet_only_observes(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        await flip(world, Rail.DISPATCH, "act")
        await world.dispatch()
        assert await world.claim_of(job) is None

    play(story, OBSERVING)


@pytest.mark.parametrize("word", ["observe", "off"])
def test_a_claim_whose_job_is_gone_stays_while_rescue_does_not_act(play: Any, word: str) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        await world.dispatch()
        claim = await world.the_claim(job)
        await flip(world, Rail.RESCUE, word)
        world.cancel_the_run()
        await world.sweep()
        assert (await world.claim(claim.id)).state is ClaimState.RESERVED

    play(story)


def test_a_switch_wakes_every_loop_at_once(store: Store) -> None:
    woken: set[str] = set()
    store.on_nudges(lambda names: woken.update(names))
    write(store, lambda tx: switch(tx, Rail.RESCUE, "off", reason="r", fleet="act"))
    assert EVERYTHING in woken


def test_a_switch_is_journalled_and_kept(store: Store) -> None:
    write(store, lambda tx: switch(tx, Rail.RESCUE, "off", reason="GitHub lies", fleet="act"))
    again = Store(store.database, store.clock, store._ids)  # pyright: ignore[reportPrivateUsage]
    assert read(again, lambda connection: rail_gate.mode_of(connection, Rail.RESCUE, "act")) == "off"
    assert read(again, lambda connection: modes(connection, "act").of(Rail.DISPATCH)) == "act"
    (line,) = read(store, lambda connection: journal.newest(connection, 10))
    entry = line.entry
    assert (entry.actor, entry.kind, entry.from_state, entry.to_state, entry.reason) == (
        "operator",
        "rail.switched",
        "act",
        "off",
        "GitHub lies",
    )


def test_only_part_of_the_hosts_is_closed_for_its_clock_in_one_tick(store: Store) -> None:
    """When our own clock is the wrong one, every host seems to be off."""
    names = [f"host-{n}" for n in range(8)]

    def work(tx: Any) -> list[bool]:
        closed = []
        for name in names:
            enrol(tx, name, f"aht_{name}")
            host = get_host(tx.connection, name)
            assert host is not None
            report = a_report((idle(0),), host=name, clock=tx.now + timedelta(hours=1))
            closed.append(follow_clock(tx, host, report, fleet="act") is not None)
        return closed

    assert sum(write(store, work)) == 2
    states = read(store, lambda connection: modes(connection, "act")).capped(START)
    assert [state.rail for state in states] == ["quarantine"]


def test_half_of_a_large_fleet_may_be_rescued_in_one_tick(store: Store) -> None:
    def work(tx: Any) -> int:
        rows = [
            {
                "host": "h",
                "slot": n,
                "kind": "jit",
                "pool": "linux",
                "intent": "open",
                "state": "idle",
                "since": tx.now,
            }
            for n in range(100)
        ]
        tx.connection.execute(insert(slots), rows)
        return sum(admit(tx, Rail.RESCUE, "act").acts for _ in range(100))

    assert write(store, work) == 50


def test_a_rail_of_a_newer_version_is_left_alone(store: Store) -> None:
    write(store, lambda tx: tx.connection.execute(insert(rails), [{"rail": "newer", "switch": "off", "acts": 0}]))
    assert read(store, lambda connection: modes(connection, "act")).states == {}


def test_the_outbox_shows_why_an_act_waits(play: Any) -> None:
    async def story(world: Any) -> None:
        world.run("build")
        await _a_removal(world)
        await flip(world, Rail.REGISTRATIONS, "off")
        await world.act()
        assert await world.store.read(lambda c: outbox.is_pending(c, "retire_runner", "clm_gone"))
        assert await lines(world, "runner.would_retire") == [], "off is not observe"

    play(story)
