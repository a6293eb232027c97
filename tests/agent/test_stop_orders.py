"""Ending a runner: exactly the one that is named, politely first, and surely (R32)."""

import os
import signal

from andon.agent.cgroups import cgroup_base
from andon.agent.layout import Root
from andon.agent.process_identity import lives, start_ticks

STUBBORN = (
    "trap '' INT TERM; echo \"Listening for Jobs\"; (trap '' INT TERM; DETACH sleep 1000) & "
    "while :; do sleep 0.05; done"
)


def test_a_runner_that_listens_to_sigint_gets_no_more(server, make_agent):
    agent = make_agent("trap 'echo asked; exit 9' INT; echo \"Listening for Jobs\"; while :; do sleep 0.02; done")
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    server.stop("c1")
    end = server.until_end("c1")
    assert (end.exit, end.signal) == (9, None)
    assert end.tail.endswith("asked\n")


def test_a_stubborn_one_is_ended_with_all_that_it_started(server, make_agent, until, tmp_path):
    base = cgroup_base(Root(path=tmp_path))
    # Only a cgroup holds what detached itself from its session.
    detach = "setsid" if base and os.access(base.parent, os.W_OK) else ""
    agent = make_agent(STUBBORN.replace("DETACH", detach))
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    status = agent.one("c1").status
    server.stop("c1")
    server.until_slot(0, "stopping")
    end = server.until_end("c1")
    assert (end.exit, end.signal) == (None, signal.SIGKILL)
    assert not lives(status.pid, status.pid_start)
    until(lambda: not agent.held(), "nothing holds its folder")
    text = agent.log.read_text()
    assert text.index("SIGINT") < text.index("SIGTERM") < text.index("SIGKILL")


def test_a_late_order_of_an_old_generation_changes_nothing(server, make_agent, until):
    agent = make_agent('echo "Listening for Jobs"; sleep 1000')
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    # The claim goes on under a newer generation, in the same process.
    pid = agent.one("c1").status.pid
    server.claim("c1", generation=2)
    server.until(lambda: server.slots[0].generation == 2, "generation 2")
    server.stop("c1", generation=1)
    server.stop("of-somebody-else", generation=2)
    until(lambda: "of another generation" in agent.log.read_text(), "the old order is ignored")
    assert agent.one("c1").status.pid == pid and agent.one("c1").live
    assert server.slots[0].state == "listening"
    agent.end(signal.SIGKILL)
    agent.start()
    server.until(lambda: server.slots[0].generation == 2, "generation 2 after a restart")
    server.stop("c1", generation=2)
    assert server.until_end("c1").signal == signal.SIGINT


def test_a_start_that_is_still_copying_is_broken_off(server, make_agent, tmp_path, until):
    install = tmp_path / "runner"
    (install / "bin").mkdir(parents=True)
    (install / "bin" / "Runner.Listener").touch()
    (install / "run.sh").touch()
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "cp").write_text(f"#!/bin/sh\necho $$ > {tmp_path}/cp.pid\nexec sleep 1000\n")
    (slow / "cp").chmod(0o755)
    agent = make_agent(command=[str(install / "run.sh")])
    agent.environ["PATH"] = f"{slow}:{os.environ['PATH']}"
    agent.start()
    server.claim("c1")
    server.until_slot(0, "starting")
    until((tmp_path / "cp.pid").exists, "it copies")
    server.stop("c1")
    end = server.until_end("c1")
    assert (end.exit, end.signal) == (None, None)
    assert "its start was broken off" in end.tail
    server.until_slot(0, "idle")
    assert start_ticks(int((tmp_path / "cp.pid").read_text())) is None
