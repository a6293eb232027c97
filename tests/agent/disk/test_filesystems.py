"""Filesystems are told once each, and one that hangs holds up nobody."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from andon.agent.disk.filesystems import Filesystems, Looked, Seen, Use, look_at
from andon.agent.leases.mounts import Mount
from andon.rules.disk_marks import Room
from andon.runtime.clock import SystemClock
from andon.sim.virtual_time import VirtualClock

PATIENCE_S = 20


def seen(device: str, point: str = "/", free: int = 1) -> Seen:
    return Seen(Mount(number=1, device=device, root="/", point=point, kind="ext4"), Room(total=10, free=free))


class Disks:
    """Folders by their first part: `/a/1` and `/a/2` lie on the filesystem `a`. Some of them hang."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.hanging: dict[str, threading.Event] = {}
        self.failing: set[str] = set()
        self.free = 5
        self.stuck = threading.Semaphore(0)

    def look_at(self, path: Path) -> Seen:
        self.asked.append(str(path))
        if (gate := self.hanging.get(str(path))) is not None:
            self.stuck.release()
            assert gate.wait(PATIENCE_S)
        if str(path) in self.failing:
            raise OSError(5, "Input/output error")
        return seen(path.parts[1], f"/{path.parts[1]}", self.free)

    def hang(self, path: str) -> None:
        self.hanging[path] = threading.Event()

    def let_go(self) -> None:
        for gate in self.hanging.values():
            gate.set()
        self.hanging.clear()


@pytest.fixture
def disks() -> Iterator[Disks]:
    one = Disks()
    yield one
    one.let_go()


def uses(*paths: str) -> tuple[Use, ...]:
    return tuple(Use(Path(path), frozenset({number})) for number, path in enumerate(paths))


def play(story: Callable[[], object]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def told(looked: Looked) -> dict[str, tuple[int, ...]]:
    return {one.mount: tuple(sorted(one.slots)) for one in looked.found}


def test_each_filesystem_is_told_once_with_all_its_slots(disks: Disks) -> None:
    async def story() -> None:
        one = Filesystems(lambda: uses("/a/1", "/b/1", "/a/2"), clock=SystemClock(), look_at=disks.look_at)
        looked = await one.look()
        assert told(looked) == {"/a": (0, 2), "/b": (1,)} and looked.untold == ()
        disks.asked.clear()
        disks.free = 3
        looked = await one.look()
        assert disks.asked == ["/a/1", "/b/1"], "one folder of each is enough for a while"
        assert {each.room.free for each in looked.found} == {3}
        one.close()

    play(story)


def test_where_a_folder_lies_is_asked_anew_from_time_to_time(disks: Disks) -> None:
    async def story() -> None:
        clock = VirtualClock()
        one = Filesystems(lambda: uses("/a/1", "/a/2"), clock=clock, look_at=disks.look_at)
        await one.look()
        clock.advance(61)
        disks.asked.clear()
        await one.look()
        assert disks.asked == ["/a/1", "/a/2"]
        one.close()

    play(story)


def test_one_that_hangs_holds_up_nobody_and_is_not_asked_again_until_it_is_back(disks: Disks) -> None:
    async def story() -> None:
        disks.hang("/dead/1")
        one = Filesystems(
            lambda: uses("/a/1", "/dead/1", "/b/1"), clock=SystemClock(), look_at=disks.look_at, limit_s=0.1
        )
        looked = await one.look()
        assert told(looked) == {"/a": (0,), "/b": (2,)}
        assert [str(use.path) for use in looked.untold] == ["/dead/1"]
        assert disks.asked.count("/dead/1") == 1
        before = threading.active_count()
        for _ in range(5):
            looked = await one.look()
            assert told(looked) == {"/a": (0,), "/b": (2,)} and len(looked.untold) == 1
        assert disks.asked.count("/dead/1") == 1 and threading.active_count() <= before + 1
        disks.let_go()
        for _ in range(1000):
            looked = await one.look()
            if not looked.untold:
                break
        assert told(looked) == {"/a": (0,), "/dead": (1,), "/b": (2,)}
        one.close()

    play(story)


def test_many_that_hang_leave_the_others_their_turn(disks: Disks) -> None:
    """Sixteen runners with their folders on one dead server, and the agent's own root last of all."""
    dead = [f"/dead/{number}" for number in range(32)]
    for path in dead:
        disks.hang(path)

    async def story() -> None:
        one = Filesystems(lambda: uses(*dead, "/root"), clock=SystemClock(), look_at=disks.look_at, limit_s=0.2)
        assert told(await one.look()) == {"/root": (32,)}
        assert told(await one.look()) == {"/root": (32,)}
        one.close()

    play(story)


def test_one_that_cannot_be_read_is_untold(disks: Disks) -> None:
    async def story() -> None:
        one = Filesystems(lambda: uses("/a/1", "/b/1"), clock=SystemClock(), look_at=disks.look_at)
        disks.failing.add("/b/1")
        looked = await one.look()
        assert told(looked) == {"/a": (0,)} and len(looked.untold) == 1
        disks.failing.clear()
        assert (await one.look()).untold == ()
        one.close()

    play(story)


def test_a_host_that_starts_no_thread_tells_nothing_and_raises_nothing(
    disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        one = Filesystems(lambda: uses("/a/1"), clock=SystemClock(), look_at=disks.look_at)
        with monkeypatch.context() as patch:

            def refuse(thread: threading.Thread) -> None:
                raise RuntimeError("can't start new thread")

            patch.setattr(threading.Thread, "start", refuse)
            looked = await one.look()
            assert looked.found == () and len(looked.untold) == 1
        assert told(await one.look()) == {"/a": (0,)}
        one.close()

    play(story)


def test_for_real_with_a_folder_that_is_still_to_be_made(tmp_path: Path) -> None:
    there, missing = look_at(tmp_path), look_at(tmp_path / "not" / "yet")
    assert there.mount == missing.mount and there.room.total == missing.room.total > 0


def test_a_thread_that_hangs_does_not_keep_the_program_from_ending(tmp_path: Path) -> None:
    """statvfs of a dead server never returns: the agent must still end when it is told to."""
    import subprocess
    import sys

    program = """
import asyncio, sys, threading
from pathlib import Path
from andon.agent.disk.filesystems import Filesystems, Use
from andon.runtime.clock import SystemClock
async def main():
    one = Filesystems(lambda: [Use(Path("/x"), frozenset())], clock=SystemClock(),
                      look_at=lambda path: threading.Event().wait(), limit_s=0.05)
    print(len((await one.look()).untold))
    one.close()
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stdout == "1\n"
