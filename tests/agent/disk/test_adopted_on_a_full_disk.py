"""An adopted runner whose work folder runs full: its slot is told so, and nothing else happens to it (R52, R91)."""

import os
import subprocess
from pathlib import Path

import pytest

from andon.agent.adoption.slots import AdoptedSlot
from andon.agent.disk.uses import SYSTEM, uses_of
from andon.agent.layout import Root
from andon.cli.main import main
from andon.sim.stage.loop_filesystem import fill, give_back
from tests.agent.adoption.conftest import make_home as make_home
from tests.support.loop_filesystems import loop_filesystem

QUICK = {"look": 0.1}
MARKS = {"soft_percent": 15, "hard_percent": 10, "emergency_percent": 4}


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: mounting a filesystem needs root")
def test_its_slot_closes_while_idle_and_comes_back(make_agent, make_home, server):
    home = make_home()
    work = home.path / "_work"
    work.mkdir(exist_ok=True)
    with loop_filesystem("ext4", 64) as point:
        subprocess.run(["mount", "--bind", point, work], check=True)
        try:
            home.start()
            agent = make_agent("exit 0", timing=QUICK, marks=MARKS)
            assert main(["agent", "adopt", "--config", str(agent.config), str(home.path)]) == 0
            agent.start()
            server.until(lambda: len(home.listeners()) == 2, "the restart that adoption needs")
            server.until_slot(1000, "idle")
            server.until(lambda: str(work) in server.disk or str(point) in server.disk, "its work folder is watched")
            home.begin_job()
            server.until_slot(1000, "running")
            fill(point)
            server.until(lambda: any(not one.admits for one in server.disk.values()), "it is full")
            assert server.slots[1000].state == "running", "its job goes on"
            home.finish_job()
            note = server.until_slot(1000, "unavailable").note
            assert "must be before a job begins here" in note
            assert len(home.listeners()) == 2 and "interrupted" not in home.said()[4:], "nothing is done to it"
            give_back(point / "filler")
            server.until_slot(1000, "idle")
        finally:
            subprocess.run(["umount", "-l", work], check=True)


def test_which_folders_are_watched_for_which_slots():
    root = Root(path=Path("/data"))
    adopted = tuple(
        AdoptedSlot(slot=slot, runner="r", folder=Path(f"/r{slot}"), work=Path(f"/w{slot}"), uid=0, gid=0)
        for slot in (1000, 1001)
    )
    found = {use.path: set(use.slots) for use in uses_of(root, (0, 1), adopted, in_root=lambda slot: slot == 1000)}
    assert found == {
        Path("/data"): {0, 1, 1000},
        Path("/r1000"): {1000},
        Path("/w1000"): {1000},
        Path("/r1001"): {1001},
        Path("/w1001"): {1001},
        SYSTEM.path: set(),
    }
