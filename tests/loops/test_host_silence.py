"""A host is silent only when somebody could have heard it: not after our own absence (R35)."""

from typing import Any

import pytest

from andon.loops.hosts import HostLiveness
from andon.loops.leadership import LEADER, TERMS
from andon.model.disk import DiskReport
from andon.model.host_states import SILENT_AFTER, HostObserved
from andon.store import disks, hosts
from andon.store.leases import take

STEP_S = 5.0


async def observed(world: Any) -> HostObserved:
    host = await world.store.read(lambda connection: hosts.get_host(connection, "host-a"))
    assert host is not None
    return host.observed


async def listen(world: Any, liveness: HostLiveness, seconds: float, *, heard: bool) -> None:
    """The loop runs at its times; the host speaks all the while, or not at all."""
    for _ in range(int(seconds / STEP_S)):
        await world.pass_time(STEP_S)
        if heard:
            await world.report()
        await liveness.run_once()


async def listening(world: Any) -> HostLiveness:
    liveness = HostLiveness(world.fleet)
    await listen(world, liveness, 60, heard=True)
    return liveness


async def gets_its_time(world: Any, liveness: HostLiveness) -> None:
    """It is not silent at once, and it is when it says nothing for its whole time."""
    await liveness.run_once()
    assert await observed(world) is HostObserved.REPORTING, "it could not speak yet"
    await listen(world, liveness, SILENT_AFTER.total_seconds() - STEP_S, heard=False)
    assert await observed(world) is HostObserved.REPORTING
    await listen(world, liveness, 2 * STEP_S, heard=False)
    assert await observed(world) is HostObserved.SILENT


def test_a_host_that_says_nothing_is_silent_in_time(play: Any) -> None:
    async def story(world: Any) -> None:
        liveness = await listening(world)
        await listen(world, liveness, 40, heard=False)
        assert await observed(world) is HostObserved.REPORTING
        await listen(world, liveness, 10, heard=False)
        assert await observed(world) is HostObserved.SILENT

    play(story)


def test_after_a_time_without_database_hosts_may_speak_first(play: Any) -> None:
    async def story(world: Any) -> None:
        liveness = await listening(world)
        world.clock.advance(11)
        for _ in range(12):
            # The lease cannot be renewed and is not trusted any more: these passes are none.
            world.clock.advance(STEP_S)
            await liveness.run_once()
        await world.pass_time(0)
        await gets_its_time(world, liveness)

    play(story)


def test_a_pass_that_could_not_write_is_no_pass(play: Any) -> None:
    async def story(world: Any) -> None:
        liveness = await listening(world)
        working, failed = world.fleet.write, 0

        async def away(work: Any) -> Any:
            raise OSError("the database is away")

        world.fleet.write = away
        for _ in range(4):
            await world.pass_time(STEP_S)
            try:
                await liveness.run_once()
            except OSError:
                failed += 1
        world.fleet.write = working
        assert failed == 3, "the fourth began to listen anew"
        await gets_its_time(world, liveness)

    play(story)


def test_after_a_pause_of_this_process_hosts_may_speak_first(play: Any) -> None:
    async def story(world: Any) -> None:
        liveness = await listening(world)
        await world.pass_time(600)
        await gets_its_time(world, liveness)

    play(story)


def test_after_another_one_led_hosts_may_speak_first(play: Any) -> None:
    async def story(world: Any) -> None:
        liveness = await listening(world)
        await listen(world, liveness, 40, heard=False)
        # Quicker than the pause that would be seen by itself.
        await world.store.write(lambda tx: take(tx, LEADER, "other", lasts=TERMS.lasts, alone=True))
        await world.pass_time(STEP_S)
        await gets_its_time(world, liveness)

    play(story)


def test_a_write_that_had_to_wait_marks_nobody(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: Any) -> None:
        liveness = await listening(world)
        await listen(world, liveness, 40, heard=False)
        write = world.fleet.write

        async def stands_still(work: Any) -> Any:
            # Reports wait behind it: nobody was heard, and everybody spoke.
            world.clock.advance(6)
            return await write(work)

        monkeypatch.setattr(world.fleet, "write", stands_still)
        await world.pass_time(STEP_S)
        await liveness.run_once()
        monkeypatch.undo()
        assert await observed(world) is HostObserved.REPORTING
        await world.pass_time(0)
        await world.report()
        await listen(world, liveness, 60, heard=True)
        assert await observed(world) is HostObserved.REPORTING

    play(story)


def test_a_disk_that_does_not_change_has_its_samples_while_its_host_is_heard(play: Any) -> None:
    """Nothing new is nothing new: the picture has a gap only where nobody knows."""

    async def story(world: Any) -> None:
        liveness = await listening(world)
        await world.report(disk=(DiskReport(mount="/data", total=9, free=4),))
        begun = world.clock.now()
        await listen(world, liveness, 1500, heard=True)
        await listen(world, liveness, 1500, heard=False)
        await listen(world, liveness, 600, heard=True)
        kept = (await world.store.read(lambda connection: disks.samples(connection, "host-a", begun)))["/data"]
        ages = [(each.at - begun).total_seconds() for each in kept]
        assert ages[:3] == [0, 600, 1200]
        assert all(not 1260 < age < 3000 for age in ages), "and none while it is silent"
        assert len(ages) == 4 and {each.free for each in kept} == {4}

    play(story)
