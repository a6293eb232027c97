"""A whole agent whose disk runs full under it: it goes on, starts nothing, ends nothing, and comes back (R52, R53)."""

import os
import signal
from pathlib import Path

import pytest

from andon.sim.stage.loop_filesystem import fill, give_back
from tests.support.loop_filesystems import loop_filesystem

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: mounting a filesystem needs root")
MARKS = {"soft_percent": 15, "hard_percent": 10, "emergency_percent": 4}
MIB = 1 << 20
RUNNER = (
    'echo "Listening for Jobs"; echo "2026-11-22 13:00:00Z: Running job: build"; '
    "until [ -e /tmp/andon-end-$ANDON_RUNNER_NAME ]; do sleep 0.02; done; exit 3"
)


def end_runner(name: str) -> Path:
    flag = Path(f"/tmp/andon-end-{name}")
    flag.touch()
    return flag


def use_up_all(folder: Path) -> None:
    """Not a byte and not an inode is left."""
    (folder / "filler").touch()
    use_up_inodes(folder)
    fill(folder)


def use_up_inodes(folder: Path) -> None:
    for number in range(100_000):
        try:
            (folder / f"inode-{number}").touch()
        except OSError:
            return


def test_from_plenty_to_nothing_and_back(server, make_agent):
    with loop_filesystem("ext4", 256, "-N", "2000") as point:
        agent = make_agent(RUNNER, count=2, marks=MARKS, root=point / "root")
        agent.start()
        server.until_slot(0, "idle")
        server.until(lambda: str(point) in server.disk, "its filesystem is told")
        told = server.disk[str(point)]
        assert (told.level, told.admits, told.slots) == ("ok", True, (0, 1)) and told.inodes >= 1900
        assert server.disk["/"].slots == () and told.floor > 0
        server.claim("c1")
        running = server.until_slot(0, "running")

        fill(point, leave=int(told.total * 0.07))
        note = server.until_slot(1, "unavailable").note
        assert str(point) in note and "must be before a job begins here" in note
        server.until(lambda: server.disk[str(point)].level == "hard", "the level is told")
        assert not server.disk[str(point)].admits
        assert server.slots[0].state == "running", "who runs goes on"
        server.claim("c2", slot=1)
        assert "before a job begins here" in server.until_end("c2").tail

        server.until(lambda: not (point / "root" / "slots" / "1" / "c2").exists(), "nothing of it is left")
        give_back(point / "filler")
        use_up_all(point)
        server.until(lambda: server.disk[str(point)].level == "emergency", "nothing is left")
        # But for what the ballast had: a change of so little is not told at once.
        assert os.statvfs(point).f_favail <= 1
        flag = end_runner(running.runner)
        end = server.until_end("c1")
        assert (end.exit, end.signal) == (3, None), "how it ended is known without a byte"
        flag.unlink()
        server.until_slot(0, "unavailable")

        for each in point.glob("inode-*"):
            each.unlink()
        give_back(point / "filler")
        for slot in (0, 1):
            server.until_slot(slot, "idle")
        server.until(lambda: server.disk[str(point)].level == "ok", "it is well again")
        server.claim("c3", slot=1)
        flag = end_runner(server.until_slot(1, "running").runner)
        assert server.until_end("c3").exit == 3
        flag.unlink()
        assert agent.end(signal.SIGTERM) == 0


def test_started_on_a_disk_that_is_full(server, make_agent):
    with loop_filesystem("ext4", 64, "-N", "2000") as point:
        agent = make_agent(RUNNER, marks=MARKS, root=point / "root")
        agent.start()
        server.until_slot(0, "idle")
        assert agent.end(signal.SIGTERM) == 0
        use_up_all(point)
        server.slots.clear()
        agent.start()
        assert "inodes free" in server.until_slot(0, "unavailable").note
        for each in point.glob("inode-*"):
            each.unlink()
        give_back(point / "filler")
        server.until_slot(0, "idle")
        assert agent.end(signal.SIGTERM) == 0


def test_observing_it_only_tells(server, make_agent, until):
    server.policy = {"guard": "observe"}
    with loop_filesystem("ext4", 64) as point:
        agent = make_agent(RUNNER, marks=MARKS, root=point / "root")
        agent.start()
        server.until_slot(0, "idle")
        server.tell()
        until(agent.root.policy.exists, "the policy is known there")
        fill(point, leave=2 * MIB)
        server.until(lambda: server.disk[str(point)].level != "ok", "it is told")
        assert server.disk[str(point)].admits and server.slots[0].state == "idle"
        assert agent.end(signal.SIGTERM) == 0
