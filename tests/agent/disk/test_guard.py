"""What the guard does at each level, and that what cannot be told changes nothing."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import structlog

from andon.agent.disk.account import Share
from andon.agent.disk.ballast import Ballast
from andon.agent.disk.filesystems import Filesystems, Seen, Use
from andon.agent.disk.guard import BALLAST_AGAIN_S, HURRY_S, LOOK_S, Acts, Guard
from andon.agent.disk.seat import Seat
from andon.agent.leases.mounts import Mount
from andon.model.config import Disk
from andon.model.disk import DiskLevel
from andon.rules.disk_marks import GIB, Room
from andon.runtime.logging import logger
from andon.runtime.loop import Nudge
from andon.sim.virtual_time import VirtualClock

LOG = logger("agent")
TOTAL = 10 * GIB
INODES = 1000


class Host:
    """A host whose root and one runner's folder lie on filesystems of their own."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "root"
        self.home.mkdir()
        self.room = {"/root-fs": Room(total=TOTAL, free=TOTAL, inodes=INODES, inodes_free=INODES)}
        self.room["/runner-fs"] = self.room["/root-fs"]
        self.mode = "act"
        self.busy = False
        self.did: list[str] = []
        self.clock = VirtualClock()
        self.changed = Nudge()
        self.ballast = Ballast(self.home / "ballast", LOG)
        self.seat = Seat(folder / "guard.lock", LOG)
        self.uses = (
            Use(self.home, frozenset({0, 1})),
            Use(Path("/runner"), frozenset({2})),
            Use(Path("/"), frozenset()),
        )
        self.guard = Guard(
            Filesystems(lambda: self.uses, clock=self.clock, look_at=self._look_at),
            self.ballast,
            self.seat,
            self.home,
            Disk(),
            Acts(make_room=lambda: self.did.append("room"), empty_trash=lambda: self.did.append("trash")),
            mode=lambda: self.mode,  # type: ignore[return-value,arg-type]
            busy=lambda: self.busy,
            share_of=lambda device: Share(),
            up_s=lambda: self.clock.monotonic(),
            changed=self.changed,
            clock=self.clock,
            log=LOG,
        )

    def _look_at(self, path: Path) -> Seen:
        point = "/runner-fs" if str(path) == "/runner" else "/root-fs"
        if (room := self.room[point]) is None:
            raise OSError(5, "Input/output error")
        return Seen(Mount(number=1, device=point, root="/", point=point, kind="ext4"), room)

    def free(self, percent: float, point: str = "/root-fs", *, inodes: float = 100) -> None:
        self.room[point] = Room(
            total=TOTAL, free=int(TOTAL * percent / 100), inodes=INODES, inodes_free=int(INODES * inodes / 100)
        )

    async def look(self) -> float:
        self.did.clear()
        self.clock.advance(1)
        return await self.guard.look()

    def level(self, point: str = "/root-fs") -> DiskLevel:
        return next(one.level for one in self.guard.reports() if one.mount == point)

    def closed(self) -> list[int]:
        return [slot for slot in range(3) if self.guard.why_closed(slot)]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[Host], Coroutine[Any, Any, None]]], None]:
    def run(story: Callable[[Host], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            host = Host(tmp_path)
            try:
                await story(host)
            finally:
                host.guard.close()

        asyncio.run(whole())

    return run


def test_down_over_every_mark_and_back(play: Any) -> None:
    async def story(host: Host) -> None:
        course = []
        for percent in (100, 16, 14, 16, 9, 11, 3, 5, 6, 12, 14, 19, 21):
            host.free(percent)
            await host.look()
            course.append((percent, host.level().value, host.closed()))
        assert course == [
            (100, "ok", []),
            (16, "ok", []),
            (14, "soft", []),
            (16, "soft", []),
            (9, "hard", [0, 1]),
            (11, "hard", [0, 1]),
            (3, "emergency", [0, 1]),
            (5, "emergency", [0, 1]),
            (6, "hard", [0, 1]),
            (12, "hard", [0, 1]),
            (14, "soft", []),
            (19, "soft", []),
            (21, "ok", []),
        ]

    play(story)


def test_inodes_close_slots_as_bytes_do_and_the_sentence_says_which(play: Any) -> None:
    async def story(host: Host) -> None:
        host.free(100, "/runner-fs", inodes=0)
        await host.look()
        assert host.closed() == [2] and "0 of 1000 inodes free" in (host.guard.why_closed(2) or "")

    play(story)


def test_what_each_level_asks_for(play: Any) -> None:
    async def story(host: Host) -> None:
        await host.look()
        assert host.did == []
        host.free(14)
        await host.look()
        assert host.did == ["room"]
        await host.look()
        assert host.did == [], "what may go goes at the keeper's own looks, too"
        host.free(9)
        await host.look()
        assert host.did == ["room"]
        host.free(3)
        for _ in range(2):
            await host.look()
            assert host.did == ["trash", "room"], "each look of an emergency asks again"
        host.free(50)
        await host.look()
        assert host.did == []

    play(story)


def test_it_looks_more_often_while_jobs_run_or_room_is_short(play: Any) -> None:
    async def story(host: Host) -> None:
        assert await host.look() == LOOK_S
        host.busy = True
        assert await host.look() == HURRY_S
        host.busy = False
        host.free(14)
        assert await host.look() == HURRY_S

    play(story)


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_switched_off_or_observing_it_tells_and_changes_nothing(play: Any, mode: str) -> None:
    async def story(host: Host) -> None:
        host.mode = mode
        await host.look()
        assert host.ballast.size() == 0, "not even the ballast is made"
        host.free(1)
        await host.look()
        assert (host.level(), host.closed(), host.did) == (DiskLevel.EMERGENCY, [], [])
        assert all(report.admits for report in host.guard.reports())
        host.mode = "act"
        await host.look()
        assert host.closed() == [0, 1] and not host.guard.reports()[0].admits
        host.mode = mode
        await host.look()
        assert host.closed() == [] and host.guard.reports()[0].admits

    play(story)


def test_off_keeps_the_ballast_that_there_is(play: Any) -> None:
    async def story(host: Host) -> None:
        await host.look()
        host.mode = "off"
        host.free(1)
        await host.look()
        assert host.ballast.size() > 0

    play(story)


def test_what_cannot_be_told_stays_as_it_was(play: Any) -> None:
    async def story(host: Host) -> None:
        host.free(5, "/runner-fs")
        await host.look()
        assert host.closed() == [2]
        host.room["/runner-fs"] = None  # type: ignore[assignment]
        for _ in range(3):
            await host.look()
            assert host.closed() == [2] and host.level("/runner-fs") is DiskLevel.HARD
        host.free(100, "/runner-fs")
        await host.look()
        assert host.closed() == []
        host.room["/runner-fs"] = None  # type: ignore[assignment]
        await host.look()
        assert host.closed() == [], "nor does silence close anything"

    play(story)


def test_a_filesystem_that_nobody_uses_any_more_is_forgotten(play: Any) -> None:
    async def story(host: Host) -> None:
        host.free(5, "/runner-fs")
        await host.look()
        host.uses = host.uses[:1]
        await host.look()
        assert host.closed() == [] and [one.mount for one in host.guard.reports()] == ["/root-fs"]

    play(story)


def test_the_ballast_is_given_up_in_an_emergency_and_taken_again_later(play: Any) -> None:
    async def story(host: Host) -> None:
        await host.look()
        whole = host.ballast.size()
        assert whole >= TOTAL // 100
        host.free(9)
        await host.look()
        assert host.ballast.size() == whole, "not before the emergency"
        host.free(3)
        await host.look()
        assert host.ballast.size() == 0
        host.free(50)
        await host.look()
        assert host.ballast.size() == 0, "whoever needed it has it for a while"
        host.clock.advance(BALLAST_AGAIN_S)
        host.free(11)
        await host.look()
        assert host.ballast.size() == 0, "taking it must not bring the host near the hard mark"
        host.free(50)
        await host.look()
        assert host.ballast.size() == whole

    play(story)


def test_another_agent_of_the_host_keeps_no_ballast_and_closes_its_own_slots(play: Any, tmp_path: Path) -> None:
    async def story(host: Host) -> None:
        other = Seat(tmp_path / "guard.lock", LOG)
        assert other.taken()
        host.ballast.make(1 << 20)
        host.free(5)
        await host.look()
        assert host.ballast.size() == 0 and host.closed() == [0, 1]
        host.free(50)
        await host.look()
        assert host.ballast.size() == 0
        other.close()
        host.clock.advance(BALLAST_AGAIN_S)
        await host.look()
        assert host.ballast.size() > 0

    play(story)


def test_a_refused_write_is_an_emergency_whatever_statvfs_says(play: Any) -> None:
    async def story(host: Host) -> None:
        await host.look()
        assert host.ballast.size() > 0
        seen = host.guard.loop.nudge.version
        host.guard.no_room()
        assert host.guard.loop.nudge.version > seen, "and it is looked at at once"
        await host.look()
        assert host.did == ["trash", "room"] and host.ballast.size() == 0
        assert host.level() is DiskLevel.OK and host.closed() == [], "room there is"
        await host.look()
        assert host.did == []

    play(story)


def test_a_ballast_that_cannot_be_made_is_said_once(play: Any) -> None:
    async def story(host: Host) -> None:
        host.home.rename(host.home.with_name("gone"))
        with structlog.testing.capture_logs() as said:
            await host.look()
            await host.look()
        assert [one["event"] for one in said if one["event"] == "ballast.failed"] == ["ballast.failed"]

    play(story)


def test_what_is_told_and_how_often(play: Any) -> None:
    async def story(host: Host) -> None:
        await host.look()
        seen = host.changed.version
        host.free(99.9)
        await host.look()
        assert host.changed.version == seen, "not each byte"
        host.free(98)
        await host.look()
        assert host.changed.version > seen
        seen = host.changed.version
        host.free(97.9)
        await host.look()
        assert host.changed.version == seen
        host.clock.advance(60)
        await host.look()
        assert host.changed.version > seen, "but not an old number for ever"
        assert host.guard.reports()[0].free == host.room["/root-fs"].free

    play(story)


def test_a_closed_slot_s_sentence_is_not_told_anew_with_each_look(play: Any) -> None:
    async def story(host: Host) -> None:
        host.free(9)
        await host.look()
        said, seen = host.guard.why_closed(0), host.changed.version
        host.free(8.9)
        await host.look()
        assert (host.guard.why_closed(0), host.changed.version) == (said, seen)

    play(story)


def test_the_forecast_is_told(play: Any) -> None:
    async def story(host: Host) -> None:
        for step in range(20):
            host.free(100 - step)
            host.clock.advance(29)
            await host.look()
        report = next(one for one in host.guard.reports() if one.mount == "/root-fs")
        assert report.full_in_s == pytest.approx(81 * 30, rel=0.02)
        still = next(one for one in host.guard.reports() if one.mount == "/runner-fs")
        assert still.full_in_s is None

    play(story)
