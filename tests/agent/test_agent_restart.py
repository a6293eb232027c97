"""The agent's own end costs neither a job nor what is known of it (R87)."""

import os
import signal

from andon.agent.held import Life

LISTENS = (
    'echo "Listening for Jobs"; until [ -e go ]; do sleep 0.02; done; echo "Running job: x"; '
    "until [ -e end ]; do sleep 0.02; done; echo done; exit 5"
)


def test_sigkill_of_the_agent_ends_no_runner_and_loses_no_exit_code(server, make_agent, until):
    agent = make_agent(LISTENS, count=2)
    agent.start()
    server.claim("c1")
    server.claim("c2", slot=1)
    server.until_slot(0, "listening")
    server.until_slot(1, "listening")
    pids = {one.claim.claim: one.status.pid for one in agent.held()}
    assert agent.end(signal.SIGKILL) == -signal.SIGKILL
    # While nobody looks: one goes on to its job, the other ends.
    (agent.one("c1").folder / "runner" / "go").touch()
    for name in ("go", "end"):
        (agent.one("c2").folder / "runner" / name).touch()
    until(lambda: agent.one("c2").life is Life.ENDED, "c2 ended")
    server.slots = {}
    agent.start()
    report = server.until_slot(0, "running")
    assert (report.claim, report.generation) == ("c1", 1)
    assert agent.one("c1").status.pid == pids["c1"]
    assert server.until_end("c2").exit == 5
    (agent.one("c1").folder / "runner" / "end").touch()
    end = server.until_end("c1")
    assert (end.exit, end.signal) == (5, None)
    assert end.tail.endswith("done\n")
    assert [one.claim for one in server.ends if one.claim == "c1"] == ["c1"]


def test_sigterm_returns_soon_and_leaves_the_runners(server, make_agent):
    agent = make_agent(LISTENS)
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    assert agent.end(signal.SIGTERM) == 0
    assert agent.one("c1").life is Life.GUARDED


def test_a_runner_whose_shim_was_ended_is_watched_to_its_end(server, make_agent, until):
    agent = make_agent(
        'echo "Listening for Jobs"; until [ -e go ]; do sleep 0.02; done; '
        'i=0; while [ $i -lt 3000 ]; do echo "line $i of many that nobody reads"; i=$((i+1)); done; '
        'echo "Running job: x"; touch said; until [ -e end ]; do sleep 0.02; done'
    )
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    one = agent.one("c1")
    os.kill(one.status.shim_pid, signal.SIGKILL)
    server.until(lambda: server.slots[0].note and "shim is gone" in server.slots[0].note, "the note")
    # The slot is not free, what the runner says goes somewhere, and how far it came is still seen.
    (one.folder / "runner" / "go").touch()
    server.until_slot(0, "running")
    until((one.folder / "runner" / "said").exists, "the runner was not blocked")
    assert agent.one("c1").life is Life.ALONE
    agent.end(signal.SIGKILL)
    agent.start()
    server.until_slot(0, "running")
    (one.folder / "runner" / "end").touch()
    end = server.until_end("c1")
    assert (end.exit, end.signal) == (None, None)
    assert "nobody saw how this runner ended" in end.tail


def test_when_all_are_gone_the_end_is_reported_without_code(server, make_agent):
    agent = make_agent(LISTENS)
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    status = agent.one("c1").status
    agent.end(signal.SIGKILL)
    os.kill(status.shim_pid, signal.SIGKILL)
    os.killpg(status.pid, signal.SIGKILL)
    agent.start()
    end = server.until_end("c1")
    assert (end.exit, end.signal) == (None, None)
    assert end.tail.startswith("Listening for Jobs\n")
    server.until_slot(0, "idle")


def test_another_boot_means_gone_whatever_the_pids_say(server, make_agent):
    agent = make_agent(LISTENS)
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    agent.end(signal.SIGKILL)
    one = agent.one("c1")
    os.kill(one.status.shim_pid, signal.SIGKILL)
    text = (one.folder / "status.json").read_text()
    (one.folder / "status.json").write_text(text.replace(one.status.boot_id, "another-boot"))
    agent.start()
    assert "the host was restarted" in server.until_end("c1").tail
    os.killpg(one.status.pid, signal.SIGKILL)


def test_a_shim_shrugs_off_signals_meant_for_it(server, make_agent):
    agent = make_agent(LISTENS)
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    one = agent.one("c1")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(one.status.shim_pid, number)
    for name in ("go", "end"):
        (one.folder / "runner" / name).touch()
    assert server.until_end("c1").exit == 5


FAR_AHEAD = 9_000_000_000_000_000_000


def test_a_clock_that_was_set_back_before_the_restart_loses_no_end(server, make_agent, until):
    agent = make_agent(LISTENS)
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    agent.end(signal.SIGKILL)
    for name in ("go", "end"):
        (agent.one("c1").folder / "runner" / name).touch()
    until(lambda: agent.one("c1").life is Life.ENDED, "c1 ended")
    # As after a step back: what was reported before has the higher number.
    server.newest_seq = FAR_AHEAD
    agent.start()
    assert server.until_end("c1").exit == 5
    assert server.requests[-1].seq > FAR_AHEAD
    assert len(server.unread_at) == 1
    assert agent.log.read_text().count("sync.behind") == 1


def test_an_agent_that_is_not_read_does_not_ask_in_circles(server, make_agent):
    # An older control plane does not say where to go on.
    server.newest_seq, server.tells_newest = FAR_AHEAD, False
    agent = make_agent(LISTENS, timing={"breath": 0.3})
    agent.start()
    server.until(lambda: len(server.unread_at) >= 4, "four tries")
    gaps = [after - before for before, after in zip(server.unread_at, server.unread_at[1:], strict=False)]
    assert min(gaps) > 0.2
