"""The guard and its ballast on real filesystems that really run full (R52, R53)."""

import asyncio
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from andon.agent.disk.account import Share
from andon.agent.disk.ballast import Ballast
from andon.agent.disk.filesystems import Filesystems, Use, look_at, room_at
from andon.agent.disk.guard import Acts, Guard
from andon.agent.disk.seat import Seat
from andon.agent.trees.system_calls import sync_filesystem
from andon.model.config import Disk
from andon.model.disk import DiskLevel
from andon.rules.disk_marks import mark_of
from andon.runtime.clock import SystemClock, seconds_since_boot
from andon.runtime.logging import logger
from andon.runtime.loop import Nudge
from andon.sim.stage.loop_filesystem import fill, give_back
from tests.support.loop_filesystems import loop_filesystem

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: mounting a filesystem needs root")
LOG = logger("agent")
MIB = 1 << 20
KINDS = ("ext4", "xfs", "btrfs")
SIZE_MIB = 1024


@pytest.fixture(params=KINDS)
def filesystem(request: pytest.FixtureRequest) -> Iterator[Path]:
    with loop_filesystem(request.param, SIZE_MIB) as point:
        yield point


def guard_on(home: Path, seat: Path, acts: list[str]) -> Guard:
    clock = SystemClock()
    return Guard(
        Filesystems(lambda: (Use(home, frozenset({0})),), clock=clock, limit_s=20),
        Ballast(home / "ballast", LOG),
        Seat(seat, LOG),
        home,
        Disk(),
        Acts(make_room=lambda: acts.append("room"), empty_trash=lambda: acts.append("trash")),
        mode=lambda: "act",
        busy=lambda: False,
        share_of=lambda device: Share(),
        up_s=seconds_since_boot,
        changed=Nudge(),
        clock=clock,
        log=LOG,
    )


def test_down_over_each_mark_by_bytes_and_back(filesystem: Path, tmp_path: Path) -> None:
    async def story() -> list[tuple[str, str, bool]]:
        guard, course = guard_on(filesystem, tmp_path / "seat", []), []
        total = look_at(filesystem).room.total

        async def at(what: str, percent: float) -> None:
            give_back(filesystem / "filler")
            _settle(filesystem)
            fill(filesystem, leave=int(total * percent / 100))
            _settle(filesystem)
            await guard.look()
            course.append((what, guard.reports()[0].level.value, guard.why_closed(0) is not None))

        for what, percent in (
            ("much", 50.0),
            ("below soft", 12.5),
            ("a little more", 17.0),
            ("below hard", 7.0),
            ("a little more", 11.5),
            ("next to nothing", 0.5),
            ("much", 50.0),
        ):
            await at(what, percent)
        guard.close()
        return course

    assert asyncio.run(story()) == [
        ("much", "ok", False),
        ("below soft", "soft", False),
        ("a little more", "soft", False),
        ("below hard", "hard", True),
        ("a little more", "hard", True),
        ("next to nothing", "emergency", True),
        ("much", "ok", False),
    ]


def test_down_over_each_mark_by_inodes_and_back(tmp_path: Path) -> None:
    """ext4 alone has a fixed number of them."""
    with loop_filesystem("ext4", 64, "-N", "2048") as point:

        async def story() -> list[str]:
            guard, course = guard_on(point, tmp_path / "seat", []), []
            for percent in (50, 12, 17, 7, 12, 1, 50):
                room = room_at(point)
                names = sorted(each for each in point.iterdir() if each.name.startswith("inode-"))
                goal = int(room.inodes * percent / 100)
                for name in names[: max(0, goal - room.inodes_free)]:
                    name.unlink()
                for number in range(room.inodes_free - goal):
                    (point / f"inode-{len(course)}-{number:05}").touch()
                await guard.look()
                course.append(guard.reports()[0].level.value)
            guard.close()
            return course

        assert asyncio.run(story()) == ["ok", "soft", "soft", "hard", "hard", "emergency", "ok"]


def test_from_a_refused_write_to_room_that_can_be_used(filesystem: Path, tmp_path: Path) -> None:
    """`andon bench disk` measures it with the whole GiB; here it is in proportion to the small filesystem."""

    async def story() -> float:
        guard = guard_on(filesystem, tmp_path / "seat", [])
        await guard.look()
        ballast = filesystem / "ballast"
        size = ballast.stat().st_blocks * 512
        assert size >= 9 * MIB
        # By someone else, and so fully that nothing fits any more.
        _write_until_refused(filesystem / "job")
        running = asyncio.ensure_future(guard.loop.run())
        await guard.loop.passes.wait_beyond(0)
        assert not ballast.exists(), "the look alone saw the emergency"
        began = time.monotonic()
        guard.no_room()
        await guard.loop.passes.wait_beyond(guard.loop.passes.version)
        took = time.monotonic() - began
        with (filesystem / "usable").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size // 2)
        running.cancel()
        guard.close()
        return took

    assert asyncio.run(story()) < 1.0


def test_the_ballast_is_room_at_once(filesystem: Path) -> None:
    ballast = Ballast(filesystem / "ballast", LOG)
    ballast.make(256 * MIB)
    _settle(filesystem)
    fill(filesystem)
    # What was still free beside it (metadata, reserves of the filesystem) is not what is asked for.
    before = room_at(filesystem).free
    assert before < 64 * MIB
    began = time.monotonic()
    assert ballast.drop() >= 256 * MIB
    took = time.monotonic() - began
    assert room_at(filesystem).free >= before + 250 * MIB, "and it shows"
    with (filesystem / "used").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 200 * MIB)
    assert took < 1.0, "measured: milliseconds; `andon bench disk` holds it to 100"
    assert ballast.drop() == 0


def test_what_the_ballast_had_shows_at_once(filesystem: Path) -> None:
    """xfs shows what an unlinked file had when it comes round to that: the levels go by what shows."""
    ballast, shown = Ballast(filesystem / "ballast", LOG), []
    for _ in range(8):
        ballast.make(128 * MIB)
        _settle(filesystem)
        before = room_at(filesystem).free
        ballast.drop()
        shown.append((room_at(filesystem).free - before) // MIB)
    assert min(shown) >= 120, shown


def test_a_ballast_is_whole_or_not_there(filesystem: Path) -> None:
    ballast = Ballast(filesystem / "ballast", LOG)
    with pytest.raises(OSError) as raised:
        ballast.make(4 * SIZE_MIB * MIB)
    assert raised.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert [each.name for each in filesystem.iterdir() if each.name.endswith("ballast")] == []


def test_a_ballast_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"x" * 8192)
    (tmp_path / ".ballast").symlink_to(tmp_path / "precious")
    ballast = Ballast(tmp_path / "ballast", LOG)
    with pytest.raises(OSError):
        ballast.make(4096)
    (tmp_path / "ballast").symlink_to(tmp_path / "precious")
    ballast.drop()
    (tmp_path / "ballast").hardlink_to(tmp_path / "precious")
    ballast.drop()
    assert (tmp_path / "precious").read_bytes() == b"x" * 8192


def test_two_subvolumes_are_one_filesystem(tmp_path: Path) -> None:
    if shutil.which("btrfs") is None:
        pytest.skip("NOT TESTED: no btrfs program here; install it")
    with loop_filesystem("btrfs", 256) as point:
        for name in ("a", "b"):
            subprocess.run(["btrfs", "-q", "subvolume", "create", point / name], check=True)
        assert (point / "a").stat().st_dev != (point / "b").stat().st_dev

        async def story() -> int:
            uses = tuple(Use(point / name, frozenset({number})) for number, name in enumerate("ab"))
            one = Filesystems(lambda: uses, clock=SystemClock(), limit_s=20)
            looked = await one.look()
            one.close()
            assert looked.found[0].slots == {0, 1} and looked.found[0].mount == str(point)
            return len(looked.found)

        assert asyncio.run(story()) == 1


def test_hard_comes_before_the_last_byte_for_every_kind(filesystem: Path) -> None:
    room = room_at(filesystem)
    assert mark_of(DiskLevel.EMERGENCY, room.total, Disk()) < mark_of(DiskLevel.HARD, room.total, Disk()) < room.free


def _write_until_refused(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (16 * MIB, MIB, 4096):
            while True:
                try:
                    file.write(b"\1" * size)
                except OSError:
                    break
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """btrfs counts what went after its transaction only."""
    file = os.open(folder, os.O_RDONLY)
    try:
        sync_filesystem(file)
    finally:
        os.close(file)
