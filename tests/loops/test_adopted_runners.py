"""Persistent runners on the played world: found in GitHub's lists, left the work that they take, never removed."""

from typing import Any

from andon.loops.dispatch import Dispatch
from andon.loops.liveness import OTHERS_EVERY_S, Registrations
from andon.model.wire import SlotReport, SlotState
from andon.sim.sandbox.records import Runner
from andon.store import hosts
from tests.support.builders import idle

NAME = "build-7"


def register(world: Any) -> Runner:
    """A persistent runner of the owner's own, whose listener waits for a job."""
    if not world.github.world.runs:
        known_to_github(world)
    runner = world.github.runners.register("acme/app", name=NAME, labels=("self-hosted", "linux"))
    connect(world, runner)
    return runner


def known_to_github(world: Any) -> None:
    world.run("over")
    world.cancel_the_run()


def connect(world: Any, runner: Runner) -> None:
    session = world.github.runners.open_session(runner, version="2.336.0", os="linux")
    world.github.runners.begin_poll(session)


async def report(world: Any, state: SlotState = SlotState.IDLE) -> None:
    await world.report(idle(0), SlotReport(slot=7, kind="adopted", pool="", state=state, runner=NAME))


async def pool(world: Any) -> str:
    found = await world.store.read(hosts.all_slots)
    return next(slot.pool for slot in found if slot.slot == 7)


def test_a_new_adopted_runner_is_looked_for_at_once_and_its_labels_give_its_pool(play: Any) -> None:
    async def story(world: Any) -> None:
        loop = Registrations(world.fleet)
        await loop.run_once()
        register(world)
        await report(world)
        await loop.run_once()
        assert await pool(world) == "linux"

    play(story)


def test_one_that_no_list_shows_is_looked_for_often(play: Any) -> None:
    async def story(world: Any) -> None:
        known_to_github(world)
        loop = Registrations(world.fleet)
        await report(world)
        await loop.run_once()
        assert await pool(world) == ""
        register(world)
        wait = await loop.run_once()
        assert wait is not None and wait < OTHERS_EVERY_S / 2
        await world.pass_time(wait + 1)
        await loop.run_once()
        assert await pool(world) == "linux"

    play(story)


def test_a_job_is_left_to_it_and_served_like_any_other_when_it_does_not_take_it(play: Any) -> None:
    async def story(world: Any) -> None:
        register(world)
        await report(world)
        await Registrations(world.fleet).run_once()
        (job,) = world.run("test")
        await world.sweep()
        dispatch = Dispatch(world.fleet)
        wait = await dispatch.run_once()
        assert await world.claim_of(job) is None
        assert wait is not None and 0 < wait <= 30, "nobody else would wake it"
        await world.pass_time(wait + 1)
        await report(world)
        await dispatch.run_once()
        assert (await world.the_claim(job)).slot == 0

    play(story)


def test_its_registration_stays_however_long_it_is_offline(play: Any) -> None:
    async def story(world: Any) -> None:
        known_to_github(world)
        world.github.runners.register("acme/app", name=NAME, labels=("self-hosted", "linux"))
        await report(world, SlotState.UNAVAILABLE)
        loop = Registrations(world.fleet)
        for _ in range(40):
            await world.pass_time(60)
            await report(world, SlotState.UNAVAILABLE)
            await loop.run_once()
            await world.act()
        assert world.registrations() == {NAME}

    play(story)
