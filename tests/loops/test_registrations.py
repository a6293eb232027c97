"""GitHub's lists of our runners on the played world: read cheaply, believed with care, and what nothing
stands behind removed (R10, R30, R33)."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from andon.loops.liveness import Registrations
from andon.model.api import RunnerView
from andon.model.claim_states import ClaimEvent
from andon.model.config import Config, Owner, Rails
from andon.model.nouns import Claim
from andon.model.wire import SlotReport, SlotState
from andon.rules.liveness_registrations import MOST
from andon.sim.sandbox.records import Runner
from andon.store import claims, registrations, runner_views
from andon.store.claims import Change, advance
from andon.store.schema import outbox
from tests.support.builders import a_config, a_pool, idle, slot_of

STEP_S = 60.0


def mint(world: Any, name: str, *, at: str = "acme/app") -> Runner:
    """A registration at GitHub that no claim of ours stands behind."""
    return world.github.runners.register(at, name=name, labels=("self-hosted", "linux"))


def connect(world: Any, runner: Runner) -> None:
    """Its listener waits for a job, and goes on waiting."""
    session = world.github.runners.open_session(runner, version="2.336.0", os="linux")
    world.github.runners.begin_poll(session)


def known_to_github(world: Any) -> None:
    world.run("over")
    world.cancel_the_run()


async def go(world: Any, loop: Registrations, minutes: float) -> None:
    for _ in range(int(minutes)):
        await world.pass_time(STEP_S)
        await loop.run_once()
        await world.act()


async def a_claim_of(world: Any) -> Claim:
    """A claim whose runner was minted and has not started."""
    (job,) = world.run("test")
    await world.sweep()
    await world.dispatch()
    await world.act()
    return await world.the_claim(job)


async def give_up(world: Any, claim: Claim) -> None:
    """The claim is over here while its registration stays at GitHub, as after a crash in between."""

    def work(tx: Any) -> None:
        now = claims.get_claim(tx.connection, claim.id)
        assert now is not None
        for event in (ClaimEvent.DOUBTED, ClaimEvent.GIVEN_UP):
            moved = advance(tx, now, Change(event=event, actor="test", reason="as after a crash"))
            assert isinstance(moved, Claim)
            now = moved

    await world.store.write(work)


async def view_of(world: Any, name: str) -> RunnerView | None:
    found = await world.store.read(lambda connection: runner_views.runner_views(connection, world.clock.now()))
    return next((each for each in found if each.name == name), None)


async def removals(world: Any) -> list[str]:
    rows = await world.store.read(
        lambda connection: connection.execute(select(outbox).where(outbox.c.kind == "retire_runner")).all()
    )
    return [row.payload["name"] for row in rows]


def test_only_what_nothing_stands_behind_is_removed(play: Any) -> None:
    async def story(world: Any) -> None:
        starting = await a_claim_of(world)
        mint(world, "andon-f-host-a-0-lost")
        mint(world, "andon-other-host-a-0-x")
        mint(world, "somebody-elses")
        online = mint(world, "andon-f-host-a-1-online")
        connect(world, online)
        reported = mint(world, "andon-f-host-a-1-reported")
        await world.report(
            idle(0),
            SlotReport(slot=1, pool="linux", state=SlotState.RUNNING, claim="clm_old", runner=reported.name),
        )
        loop = Registrations(world.fleet)
        assert starting.slot == 0, "its agent has not told of it yet"
        await go(world, loop, 12)
        assert (await kept(world))["andon-f-host-a-0-lost"] == ("offline", 3)
        assert await removals(world) == [], "within the grace time"
        await go(world, loop, 12)
        assert await removals(world) == ["andon-f-host-a-0-lost"]
        assert world.registrations() == {
            starting.runner_name,
            "andon-other-host-a-0-x",
            "somebody-elses",
            online.name,
            reported.name,
        }

    play(story)


def test_a_registration_whose_claim_is_over_is_removed_and_shown_until_then(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await a_claim_of(world)
        await give_up(world, claim)
        loop = Registrations(world.fleet)
        await go(world, loop, 6)
        view = await view_of(world, claim.runner_name)
        assert view is not None
        assert (view.github, view.busy, view.process, view.verdict) == ("offline", False, "gone", "stale")
        assert (view.host, view.slot) == (claim.host, claim.slot)
        await go(world, loop, 15)
        assert world.registrations() == set()
        await go(world, loop, 5)
        assert len(await removals(world)) == 1, "ordered once"

    play(story)


def test_one_that_came_back_before_its_removal_is_left_alone(play: Any) -> None:
    async def story(world: Any) -> None:
        known_to_github(world)
        runner = mint(world, "andon-f-host-a-0-slow")
        loop = Registrations(world.fleet)
        while not await removals(world):
            await world.pass_time(STEP_S)
            await loop.run_once()
        connect(world, runner)
        await world.act()
        assert world.registrations() == {runner.name}

    play(story)


def test_one_whose_host_reports_its_process_before_the_removal_is_left_alone(play: Any) -> None:
    """The order waited, for its rail or for GitHub, and a host that was away came back (promise 1)."""

    async def story(world: Any) -> None:
        claim = await a_claim_of(world)
        await give_up(world, claim)
        loop = Registrations(world.fleet)
        while not await removals(world):
            await world.pass_time(STEP_S)
            await loop.run_once()
        await world.report(slot_of(claim, SlotState.RUNNING), idle(1))
        await world.act()
        assert world.registrations() == {claim.runner_name}

    play(story)


def test_in_observe_mode_nothing_is_removed(play: Any) -> None:
    owner = Owner(login="acme", repositories=("acme/app",))
    config: Config = a_config(pool=(a_pool(),), owner=(owner,), rails=Rails(mode="observe"))

    async def story(world: Any) -> None:
        known_to_github(world)
        mint(world, "andon-f-host-a-0-lost")
        await go(world, Registrations(world.fleet), 60)
        assert await removals(world) == ["andon-f-host-a-0-lost"]
        assert world.registrations() == {"andon-f-host-a-0-lost"}

    play(story, config)


def test_one_pass_orders_no_more_than_its_cap(play: Any) -> None:
    async def story(world: Any) -> None:
        known_to_github(world)
        for number in range(MOST + 5):
            mint(world, f"andon-f-host-a-0-{number}")
        loop = Registrations(world.fleet)
        most, before = 0, 0
        for _ in range(40):
            await world.pass_time(STEP_S)
            await loop.run_once()
            now = len(await removals(world))
            most, before = max(most, now - before), now
        assert (most, before) == (MOST, MOST + 5)

    play(story)


def listing(world: Any, keep: Callable[[Runner], bool]) -> Callable[[], None]:
    """GitHub's whole list lacks some runners until what this gives is called."""
    runners = world.github.runners
    whole = runners.list

    def part(scope: str, *, name: str | None = None) -> list[Runner]:
        found = whole(scope, name=name)
        return found if name is not None else [runner for runner in found if keep(runner)]

    runners.list = part

    def back() -> None:
        runners.list = whole

    return back


async def at_work(world: Any) -> Claim:
    """A claim whose runner is online and busy."""
    claim = await a_claim_of(world)
    await world.report(slot_of(claim, SlotState.RUNNING))
    found = next(each for each in world.github.world.runners.values() if each.name == claim.runner_name)
    connect(world, found)
    await world.bind(await world.the_claim(claim.job_id or 0))
    return await world.claim(claim.id)


async def kept(world: Any) -> dict[str, tuple[str, int]]:
    found = await world.store.read(registrations.all_registrations)
    return {name: (each.status, each.reads) for name, each in found.items()}


def test_an_empty_and_a_partial_list_conclude_nothing(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await at_work(world)
        lost = mint(world, "andon-f-host-a-1-lost")
        loop = Registrations(world.fleet)
        await go(world, loop, 7)
        before = await kept(world)
        assert before == {claim.runner_name: ("online", 2), lost.name: ("offline", 2)}
        back = listing(world, lambda runner: False)
        await go(world, loop, 30)
        assert await kept(world) == before, "an empty list"
        back()
        back = listing(world, lambda runner: runner.name != claim.runner_name)
        await go(world, loop, 30)
        assert await kept(world) == before, "a list that lacks what is at work"
        assert await removals(world) == []
        back()
        await go(world, loop, 15)
        assert lost.name not in world.registrations()

    play(story)


def test_a_read_that_failed_concludes_nothing(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await at_work(world)
        lost = mint(world, "andon-f-host-a-1-lost")
        loop = Registrations(world.fleet)
        await go(world, loop, 7)
        before = await kept(world)
        world.fault(kind="api_error", match={}, count=10_000)
        await go(world, loop, 40)
        assert await kept(world) == before and await removals(world) == []
        assert world.registrations() == {claim.runner_name, lost.name}

    play(story)


def test_a_runner_that_github_does_not_list_any_more_is_absent_while_its_claim_lives(play: Any) -> None:
    async def story(world: Any) -> None:
        claim = await a_claim_of(world)
        await world.report(slot_of(claim, SlotState.STARTING))
        known = mint(world, "somebody-elses")
        loop = Registrations(world.fleet)
        await go(world, loop, 5)
        assert (await kept(world))[claim.runner_name][0] == "offline"
        view = await view_of(world, claim.runner_name)
        assert view is not None and (view.process, view.verdict) == ("alive", "starting")
        runner = next(each for each in world.github.world.runners.values() if each.name == claim.runner_name)
        world.github.runners.deregister(runner, "by the test")
        await go(world, loop, 6)
        assert (await kept(world))[claim.runner_name][0] == "absent"
        await give_up(world, claim)
        await go(world, loop, 6)
        assert await kept(world) == {} and world.registrations() == {known.name}

    play(story)


def test_lists_cost_little_and_nothing_while_nothing_changes(play: Any, count: Callable[[int], int]) -> None:
    async def story(world: Any) -> None:
        claim = await at_work(world)
        for number in range(count(1000)):
            mint(world, f"somebody-elses-{number}")
        loop = Registrations(world.fleet)
        await go(world, loop, 10)
        world.calls.clear()
        await go(world, loop, 60)
        assert {status for _, status in world.calls} == {"304"}
        world.calls.clear()
        for number in range(60):
            # Every page changes between two reads.
            world.github.runners.deregister(next(iter(world.github.runners.list("acme/app")[1:])), "test")
            mint(world, f"new-{number}")
            await go(world, loop, 1)
        paid = sum(number for (_, status), number in world.calls.items() if status != "304")
        assert 10 <= paid <= 150
        assert (await kept(world)).keys() == {claim.runner_name}

    play(story)


def test_where_nothing_of_ours_is_nothing_is_asked_but_once_an_hour(play: Any) -> None:
    async def story(world: Any) -> None:
        known_to_github(world)
        await go(world, Registrations(world.fleet), 120)
        assert sum(world.calls.values()) == 2

    play(story)
