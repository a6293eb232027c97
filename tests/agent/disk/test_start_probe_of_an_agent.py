"""A whole agent tries a start before it calls a slot ready, and takes it back when that fails (R38, R43)."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from andon.cli.main import main
from tests.agent.adoption.conftest import make_home as make_home

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: mounts need root")
RUNNER = 'echo "Listening for Jobs"; until [ -e go ]; do sleep 0.02; done'


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    if subprocess.run(["mount", "--bind", folder, folder], check=False).returncode:
        pytest.skip("kernel: nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_slot_that_cannot_start_anything_is_not_ready_and_comes_back(server, make_agent):
    agent = make_agent(RUNNER, count=2)
    slot = agent.root.slots / "1"
    slot.mkdir(parents=True)
    with read_only(slot):
        agent.start()
        note = server.until_slot(1, "unavailable").note
        assert str(slot) in note and "Read-only" in note and "writable" in note
        assert server.slots[0].state == "idle", "and the other is not blamed for it"
        first = next(body["slots"] for body in server.bodies if "slots" in body)
        assert [each["state"] for each in first] == ["idle", "unavailable"], "from the first report on"
        server.claim("c1", slot=1)
        end = server.until_end("c1")
        assert end.exit == 126 and "could not be made" in end.tail
    server.until_slot(1, "idle")
    server.claim("c2", slot=1)
    server.until_slot(1, "listening")
    assert agent.end(signal.SIGTERM) == 0


def test_a_slot_that_fails_just_before_a_start_refuses_it_and_runs_nothing(server, make_agent, tmp_path):
    """A try is made anew before a start wherever the last one failed."""
    agent = make_agent(f"touch {tmp_path}/ran; {RUNNER}")
    agent.start()
    server.until_slot(0, "idle")
    assert agent.end(signal.SIGTERM) == 0
    blocked = agent.root.slots / "0" / ".probe"
    blocked.symlink_to(tmp_path)
    agent.start()
    server.until_slot(0, "unavailable")
    server.claim("c1")
    end = server.until_end("c1")
    assert end.exit == 126 and "No runner can start on this slot" in end.tail
    assert not (tmp_path / "ran").exists()
    blocked.unlink()
    server.until_slot(0, "idle")
    server.claim("c2")
    server.until_slot(0, "listening")
    assert (tmp_path / "ran").exists()
    assert agent.end(signal.SIGTERM) == 0


def test_an_adopted_runner_that_can_write_nothing_is_no_capacity_and_comes_back(server, make_agent, make_home):
    home = make_home()
    work = home.path / "_work"
    work.mkdir(exist_ok=True)
    home.start()
    agent = make_agent("exit 0", timing={"look": 0.1})
    assert main(["agent", "adopt", "--config", str(agent.config), str(home.path)]) == 0
    with read_only(work):
        agent.start()
        server.until(lambda: len(home.listeners()) == 2, "the restart that adoption needs")
        note = server.until_slot(1000, "unavailable").note
        server.until(lambda: "Read-only" in (server.slots[1000].note or ""), f"why, and not {note}")
        assert home.listeners(), "it goes on"
    server.until_slot(1000, "idle")
    assert agent.end(signal.SIGTERM) == 0
