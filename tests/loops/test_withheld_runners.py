"""Adopted runners of a host that is closed: GitHub is kept from giving them jobs, and nothing taken is ever lost."""

from typing import Any

import pytest

from andon.github.client import GitHub
from andon.loops.liveness import Registrations
from andon.loops.withhold import Withhold
from andon.model.config import Owner
from andon.model.disk import DiskReport
from andon.model.rails import Rail
from andon.model.wire import SlotReport, SlotState
from andon.rules.withholding import LOOKED_AT_AGAIN, PARKING, TRIED_FOR
from andon.sim.sandbox.control import post
from andon.store import adopted_slots, hosts, journal, withheld
from andon.store.apply_sync import wishes
from andon.store.host_intents import change_intent
from andon.store.rail_gate import switch
from andon.store.rails import note_mode
from tests.support.builders import a_config, a_pool, idle

NAME = "build-7"
GPU = a_pool(name="gpu", labels=("self-hosted", "gpu"))


def a_fleet(*pools: Any, runners: str = "repository") -> Any:
    return a_config(pool=pools or (GPU,), owner=(Owner(login="acme", repositories=("acme/app",), runners=runners),))


def know(world: Any) -> None:
    world.run("over")
    world.cancel_the_run()


async def adopt(world: Any, scope: str = "acme/app", **registered: Any) -> Any:
    """A persistent runner with labels of its own, as its agent reports it and GitHub's list shows it."""
    if not world.github.world.runs:
        know(world)
    runner = world.github.runners.register(
        scope, name=NAME, labels=("self-hosted", "Linux", "gpu", "Big"), ephemeral=False, **registered
    )
    world.github.runners.begin_poll(world.github.runners.open_session(runner, version="2.336.0", os="linux"))
    await report(world)
    await Registrations(world.fleet).run_once()
    return runner


SLOT = SlotReport(slot=7, kind="adopted", pool="", state=SlotState.IDLE, runner=NAME)


async def report(world: Any) -> None:
    await world.report(idle(0), SLOT)


async def intend(world: Any, event: str) -> None:
    host = await world.store.read(lambda connection: hosts.get_host(connection, "host-a"))
    await world.store.write(lambda tx: change_intent(tx, host, event, actor="operator", reason="a look"))


async def held(world: Any) -> tuple[int, ...]:
    """What the host's agent is told."""

    def read(connection: Any) -> Any:
        return wishes(connection, "host-a", now=world.clock.now(), ack=0, resync=False, policy={})

    return (await world.store.read(read)).policy["held_by_labels"]


async def rows(world: Any) -> Any:
    return await world.store.read(withheld.all_withheld)


async def pool(world: Any) -> str:
    found = await world.store.read(hosts.all_slots)
    return next(slot.pool for slot in found if slot.slot == 7)


def calls(world: Any, method: str) -> int:
    return sum(
        many for (endpoint, _), many in world.calls.items() if endpoint.startswith(method) and "runners" in endpoint
    )


def test_its_labels_are_taken_off_and_come_back(play: Any) -> None:
    async def story(world: Any) -> None:
        runner = await adopt(world)
        loop = Withhold(world.fleet)
        assert await loop.run_once() is None
        assert await pool(world) == "gpu"
        await intend(world, "cordon")
        assert await held(world) == (7,), "its listener is not stopped while GitHub is being asked"
        wait = await loop.run_once()
        assert runner.labels == ("self-hosted", "Linux")
        assert await held(world) == (7,) and wait is not None
        # GitHub's list shows it without its labels now: that is no news of its pool.
        await world.pass_time(300)
        await report(world)
        await Registrations(world.fleet).run_once()
        assert await pool(world) == "gpu"
        await loop.run_once()
        puts = calls(world, "PUT")
        await world.pass_time(LOOKED_AT_AGAIN.total_seconds())
        await loop.run_once()
        assert calls(world, "PUT") == puts, "what is off already is not taken off again"
        told = await world.store.read(lambda connection: journal.newest(connection, 500))
        assert [line.entry.kind for line in told].count("slot.withheld") == 1, "and not told again"
        world.github.runners.set_labels(runner, [*runner.labels, "late"])
        await world.pass_time(LOOKED_AT_AGAIN.total_seconds())
        await loop.run_once()
        assert runner.labels == ("self-hosted", "Linux"), "somebody gave it one since"
        await intend(world, "uncordon")
        assert await held(world) == ()
        await loop.run_once()
        assert runner.labels == ("self-hosted", "Linux", "gpu", "Big", "late")
        assert await rows(world) == ()

    play(story, a_fleet())


def test_a_control_plane_that_ended_between_any_two_steps_loses_no_label(play: Any) -> None:
    async def story(world: Any) -> None:
        runner = await adopt(world)
        await intend(world, "cordon")
        # GitHub did it, and the answer never came.
        world.fault(kind="api_reply_lost", match={"endpoint": "PUT */labels"}, count=8)
        await Withhold(world.fleet).run_once()
        assert runner.labels == ("self-hosted", "Linux")
        assert [(row.stage, row.labels) for row in await rows(world)] == [("taking", ("gpu", "Big"))], "first of all"
        world.github.faults.clear()
        for _ in range(4):
            await world.pass_time(30)
            await Withhold(world.fleet).run_once()
        assert [(row.stage, row.labels) for row in await rows(world)] == [("taken", ("gpu", "Big"))]
        assert runner.labels == ("self-hosted", "Linux")
        await intend(world, "uncordon")
        world.fault(kind="api_reply_lost", match={"endpoint": "POST */labels"}, count=8)
        await Withhold(world.fleet).run_once()
        assert [row.stage for row in await rows(world)] == ["returning"]
        world.github.faults.clear()
        for _ in range(4):
            await world.pass_time(30)
            await Withhold(world.fleet).run_once()
        assert runner.labels == ("self-hosted", "Linux", "gpu", "Big")
        assert await rows(world) == ()

    play(story, a_fleet())


def test_where_github_does_not_answer_the_listener_is_stopped_after_a_minute(play: Any) -> None:
    async def story(world: Any) -> None:
        runner = await adopt(world)
        await intend(world, "cordon")
        back = world.cut_off()
        loop = Withhold(world.fleet)
        await loop.run_once()
        assert await held(world) == (7,)
        await world.pass_time(TRIED_FOR.total_seconds() + 1)
        assert await held(world) == (), "also when no control plane tries"
        await loop.run_once()
        assert [row.stage for row in await rows(world)] == ["listener"]
        back()
        await world.pass_time(LOOKED_AT_AGAIN.total_seconds())
        await loop.run_once()
        assert runner.labels == ("self-hosted", "Linux") and await held(world) == (7,)

    play(story, a_fleet())


def test_without_permission_the_listener_is_stopped_at_once(play: Any) -> None:
    async def story(world: Any) -> None:
        runner = await adopt(world)
        await intend(world, "cordon")
        world.fault(kind="api_error", match={"endpoint": "/labels"}, status=403)
        await Withhold(world.fleet).run_once()
        (row,) = await rows(world)
        assert row.stage == "listener" and row.reason.startswith("GitHub: ")
        assert await held(world) == () and runner.labels == ("self-hosted", "Linux", "gpu", "Big")
        await intend(world, "uncordon")
        assert await rows(world) == ()

    play(story, a_fleet())


@pytest.mark.parametrize("group_for", ["selected", "all", None])
def test_where_jobs_ask_for_what_every_runner_has_it_is_parked_in_a_group(play: Any, group_for: str | None) -> None:
    async def story(world: Any) -> None:
        know(world)
        status, own = post(world.github, "/_sandbox/runner_groups", {"org": "acme", "name": "builders"})
        assert status == 201
        if group_for is not None:
            body = {"org": "acme", "name": PARKING, "visibility": group_for}
            status, park = post(world.github, "/_sandbox/runner_groups", body)
            assert status == 201
        runner = await adopt(world, "acme", group_id=own["id"])
        await intend(world, "cordon")
        loop = Withhold(world.fleet)
        await loop.run_once()
        assert runner.labels == ("self-hosted", "Linux", "gpu", "Big"), "they would not keep those jobs away"
        (row,) = await rows(world)
        if group_for != "selected":
            # A group that every repository may use would keep no job away.
            assert row.stage == "listener" and PARKING in row.reason
            assert await held(world) == ()
            return
        assert (runner.group_id, await held(world)) == (park["id"], (7,))
        await world.pass_time(LOOKED_AT_AGAIN.total_seconds())
        await loop.run_once()
        await intend(world, "uncordon")
        await loop.run_once()
        assert runner.group_id == own["id"]
        assert await rows(world) == ()

    play(story, a_fleet(GPU, a_pool(), runners="organisation"))


def test_a_control_plane_that_ended_while_it_parked_a_runner_knows_its_group_afterwards(play: Any) -> None:
    async def story(world: Any) -> None:
        know(world)
        status, own = post(world.github, "/_sandbox/runner_groups", {"org": "acme", "name": "builders"})
        body = {"org": "acme", "name": PARKING, "visibility": "selected"}
        assert (status, post(world.github, "/_sandbox/runner_groups", body)[0]) == (201, 201)
        runner = await adopt(world, "acme", group_id=own["id"])
        await intend(world, "cordon")
        world.fault(kind="api_reply_lost", match={"endpoint": "PUT */runner-groups/*"}, count=8)
        await Withhold(world.fleet).run_once()
        world.github.faults.clear()
        assert runner.group_id != own["id"] and [row.group_id for row in await rows(world)] == [own["id"]]
        await intend(world, "uncordon")
        for _ in range(2):
            await Withhold(world.fleet).run_once()
            await world.pass_time(30)
        assert runner.group_id == own["id"]

    play(story, a_fleet(a_pool(), runners="organisation"))


class Ended(Exception):
    """As by SIGKILL: nothing of the control plane comes after it."""


@pytest.mark.parametrize("call", ["set_runner_labels", "move_runner"])
def test_what_is_taken_is_written_down_before(play: Any, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    async def story(world: Any) -> None:
        know(world)
        body = {"org": "acme", "name": PARKING, "visibility": "selected"}
        assert post(world.github, "/_sandbox/runner_groups", body)[0] == 201
        runner = await adopt(world, "acme")
        before = (runner.labels, runner.group_id)
        await intend(world, "cordon")
        carried_out = getattr(GitHub, call)

        async def and_no_more(*given: Any) -> None:
            await carried_out(*given)
            raise Ended

        with monkeypatch.context() as ending:
            ending.setattr(GitHub, call, and_no_more)
            with pytest.raises(Ended):
                await Withhold(world.fleet).run_once()
        assert (runner.labels, runner.group_id) != before
        await intend(world, "uncordon")
        await Withhold(world.fleet).run_once()
        assert (runner.labels, runner.group_id) == before and await rows(world) == ()

    play(story, a_fleet(a_pool() if call == "move_runner" else GPU, runners="organisation"))


def test_a_repository_s_runner_cannot_be_parked_and_its_listener_is_stopped(play: Any) -> None:
    async def story(world: Any) -> None:
        runner = await adopt(world)
        await intend(world, "cordon")
        await Withhold(world.fleet).run_once()
        (row,) = await rows(world)
        assert row.stage == "listener" and "no runner groups" in row.reason and await held(world) == ()
        assert runner.labels == ("self-hosted", "Linux", "gpu", "Big")

    play(story, a_fleet(a_pool()))


def test_an_answer_that_denies_a_runner_which_is_there_lets_no_label_go(play: Any) -> None:
    """404 also stands for a permission that is missing."""

    async def story(world: Any) -> None:
        runner = await adopt(world)
        await intend(world, "cordon")
        await Withhold(world.fleet).run_once()
        await intend(world, "uncordon")
        world.fault(kind="api_error", match={"endpoint": "POST */labels"}, status=404)
        await Withhold(world.fleet).run_once()
        assert [(row.stage, row.labels) for row in await rows(world)] == [("returning", ("gpu", "Big"))]
        world.github.faults.clear()
        await world.pass_time(LOOKED_AT_AGAIN.total_seconds())
        await Withhold(world.fleet).run_once()
        assert runner.labels == ("self-hosted", "Linux", "gpu", "Big") and await rows(world) == ()

    play(story, a_fleet())


def test_one_that_its_owner_put_elsewhere_since_stays_there(play: Any) -> None:
    async def story(world: Any) -> None:
        know(world)
        body = {"org": "acme", "name": PARKING, "visibility": "selected"}
        assert post(world.github, "/_sandbox/runner_groups", body)[0] == 201
        status, other = post(world.github, "/_sandbox/runner_groups", {"org": "acme", "name": "other"})
        assert status == 201
        runner = await adopt(world, "acme")
        await intend(world, "cordon")
        await Withhold(world.fleet).run_once()
        runner.group_id, runner.group_name = other["id"], "other"
        await intend(world, "uncordon")
        await Withhold(world.fleet).run_once()
        assert runner.group_id == other["id"]
        assert await rows(world) == ()

    play(story, a_fleet(a_pool(), runners="organisation"))


def test_a_runner_that_is_adopted_no_more_gets_its_labels_back(play: Any) -> None:
    async def story(world: Any) -> None:
        runner = await adopt(world)
        await intend(world, "cordon")
        loop = Withhold(world.fleet)
        await loop.run_once()
        await world.report(idle(0))
        await loop.run_once()
        assert runner.labels == ("self-hosted", "Linux", "gpu", "Big")
        assert await rows(world) == ()

    play(story, a_fleet())


def test_a_registration_that_is_gone_is_let_go(play: Any) -> None:
    async def story(world: Any) -> None:
        runner = await adopt(world)
        await intend(world, "cordon")
        loop = Withhold(world.fleet)
        await loop.run_once()
        world.github.runners.delete("acme/app", runner.id)
        await intend(world, "uncordon")
        await loop.run_once()
        assert await rows(world) == ()

    play(story, a_fleet())


def test_one_whose_disk_takes_no_job_is_withheld_while_it_does_not(play: Any) -> None:
    """S2: nothing is minted there, and a persistent runner would go on taking jobs onto a full disk."""

    async def story(world: Any) -> None:
        runner, loop = await adopt(world), Withhold(world.fleet)

        async def tell(admits: bool, *slots: int) -> None:
            disk = DiskReport(mount="/data", total=100, free=1, admits=admits, slots=slots)
            await world.report(idle(0), SLOT, disk=(disk,))

        await world.store.write(lambda tx: note_mode(tx, "act"))
        await tell(False, 0, 1)
        await loop.run_once()
        assert await rows(world) == (), "another filesystem than its own"
        for mode, left in (("observe", True), ("act", False)):
            await world.store.write(lambda tx, m=mode: switch(tx, Rail.GUARD, m, reason="a look", fleet="act"))
            await tell(False, 0, 7)
            await loop.run_once()
            assert ("gpu" in set(runner.labels)) is left, mode
            takers = await world.store.read(lambda connection: adopted_slots.takers(connection, world.clock.now()))
            assert bool(takers) is left, "no job is left to one that gets none"
        await intend(world, "cordon")
        await intend(world, "uncordon")
        await loop.run_once()
        assert "gpu" not in set(runner.labels), "a cordon that ends gives back no room"
        await tell(True, 0, 7)
        await loop.run_once()
        assert {"gpu", "Big"} <= set(runner.labels) and await rows(world) == ()

    play(story, a_fleet())


def test_one_adopted_on_a_host_that_is_closed_already_is_found_too(play: Any) -> None:
    async def story(world: Any) -> None:
        await intend(world, "cordon")
        runner = await adopt(world)
        await Withhold(world.fleet).run_once()
        assert runner.labels == ("self-hosted", "Linux") and await held(world) == (7,)

    play(story, a_fleet())
