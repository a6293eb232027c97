"""One runner from its order to its acknowledged end, through real processes."""

import os
import signal
from pathlib import Path

from andon.agent.process_identity import lives

GOOD = (
    'echo "Listening for Jobs"; until [ -e go ]; do sleep 0.02; done; '
    'echo "2026-11-22 13:00:00Z: Running job: build"; until [ -e end ]; do sleep 0.02; done; '
    "echo last words; exit 3"
)


def runner_folder(agent, claim="c1") -> Path:
    return agent.one(claim).folder / "runner"


def test_phases_and_the_end_are_reported_until_they_are_acknowledged(server, make_agent, until):
    server.acknowledging = False
    agent = make_agent(GOOD, count=2)
    ready = agent.start()
    assert ready == {"ready": True, "host": "host-a", "pid": agent.process.pid}
    server.until_slot(0, "idle")
    server.claim("c1")
    report = server.until_slot(0, "listening")
    assert (report.claim, report.generation, report.runner) == ("c1", 1, "andon-f-h-0-c1")
    assert report.pid_started_at is not None
    assert server.slots[1].state == "idle"
    (runner_folder(agent) / "go").touch()
    server.until_slot(0, "running")
    (runner_folder(agent) / "end").touch()
    end = server.until_end("c1")
    assert (end.generation, end.exit, end.signal) == (1, 3, None)
    assert end.tail.endswith("last words\n")
    server.until_slot(0, "idle")
    server.until(lambda: len([one for one in server.ends if one.claim == "c1"]) >= 3, "repeated")
    assert agent.one("c1").folder.is_dir()
    server.acknowledging = True
    until(lambda: not agent.held(), "the acknowledged folder is removed")
    server.until(lambda: server.requests[-1].ended == (), "no end any more")
    # The order comes again, late: a claim that ended here is never started twice.
    server.claim("c1", generation=2)
    server.claim("c2", slot=1)
    server.until_slot(1, "listening")
    assert not any(one.claim.claim == "c1" for one in agent.held())
    assert agent.end(signal.SIGTERM) == 0


def test_what_the_runner_finds_in_its_environment(server, make_agent, monkeypatch):
    agent = make_agent(
        'env > env.txt; pwd -P; echo "Listening for Jobs"; echo $ACTIONS_RUNNER_INPUT_JITCONFIG; sleep 60'
    )
    agent.start()
    server.claim("c1", jit="SECRET-JIT" * 300)
    server.until_slot(0, "listening")
    folder = agent.one("c1").folder
    env = dict(line.split("=", 1) for line in (folder / "runner" / "env.txt").read_text().splitlines())
    assert env["ACTIONS_RUNNER_INPUT_JITCONFIG"] == "SECRET-JIT" * 300
    assert env["ANDON_RUNNER_NAME"] == "andon-f-h-0-c1"
    assert env["ANDON_SOCKET"] == str(agent.root.socket)
    assert env["PLAIN"] == "kept"
    assert "ANDON_SECRET_OF_OURS" not in env
    for name in ("ACTIONS_RUNNER_HOOK_JOB_STARTED", "ACTIONS_RUNNER_HOOK_JOB_COMPLETED"):
        assert os.access(env[name], os.X_OK)
    # The JIT config stands nowhere but in the runner's own environment (R26).
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert b"SECRET-JITSECRET-JIT" not in path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            pass
    shim = agent.one("c1").status.shim_pid
    assert b"SECRET-JIT" not in Path(f"/proc/{shim}/environ").read_bytes()
    (folder / "runner" / "env.txt").unlink()
    for path in (path for path in agent.root.path.rglob("*") if path.is_file()):
        assert b"SECRET-JITSECRET-JIT" not in path.read_bytes(), path
    server.stop("c1")
    end = server.until_end("c1")
    assert "[redacted]" in end.tail and "SECRET-JIT" not in end.tail
    assert "SECRET-JIT" not in agent.log.read_text()


def test_signal_and_words_that_are_no_text(server, make_agent):
    agent = make_agent("printf 'caf\\303\\251 \\377\\000 end\\n'; kill -SEGV $$")
    agent.start()
    server.claim("c1")
    end = server.until_end("c1")
    assert (end.exit, end.signal) == (None, signal.SIGSEGV)
    assert end.tail == "café � end\n"


def test_a_flood_of_output_is_bounded_and_does_not_block(server, make_agent):
    agent = make_agent(
        "echo first; head -c 20000000 /dev/zero | tr '\\0' 'x' | fold -w 200; echo; echo the very last; exit 7"
    )
    server.acknowledging = False
    agent.start()
    server.claim("c1")
    end = server.until_end("c1")
    assert end.exit == 7
    assert len(end.tail.encode()) <= 4096
    assert end.tail.endswith("the very last\n")
    logs = list(agent.one("c1").folder.glob("output*"))
    assert sum(path.stat().st_size for path in logs) <= 1 << 20
    assert (agent.one("c1").folder / "output.log").read_bytes().startswith(b"first\n")


def test_an_occupied_slot_a_late_order_and_a_cordoned_host_start_nothing(server, make_agent, until):
    agent = make_agent('echo "Listening for Jobs"; until [ -e end ]; do sleep 0.02; done', count=3)
    agent.start()
    server.claim("late", slot=1, late=True)
    server.claim("nowhere", slot=9)
    server.claim("../../evil", slot=2)
    server.claim("c1")
    server.until_slot(0, "listening")
    server.claim("c2")
    until(lambda: '"slot is taken"' in agent.log.read_text(), "c2 waits")
    (runner_folder(agent) / "end").touch()
    server.until_end("c1")
    server.until(lambda: server.slots[0].claim == "c2", "c2 follows")
    text = agent.log.read_text()
    for reason in ("past its deadline", "no such slot", "no id of ours"):
        assert reason in text
    assert server.slots[1].state == server.slots[2].state == "idle"
    server.host_intent = "cordoned"
    server.claim("c3", slot=1)
    until(lambda: "not open" in agent.log.read_text(), "c3 waits")
    assert {one.claim.claim for one in agent.held() if one.live} == {"c2"}


def test_an_unknown_user_and_a_missing_command_are_named(server, make_agent):
    agent = make_agent("true", user="no-such-user-{slot}")
    agent.start()
    assert 'no user "no-such-user-0"' in server.until_slot(0, "unavailable").note
    server.claim("c1")
    end = server.until_end("c1")
    assert end.exit == 126 and 'no user "no-such-user-0"' in end.tail
    other = make_agent(command=["/nowhere/run.sh"])
    agent.end(signal.SIGTERM)
    other.start()
    server.until(lambda: server.slots[0].note and "/nowhere/run.sh" in server.slots[0].note, "the note")
    server.claim("c2")
    end = server.until_end("c2")
    assert end.exit == 127 and "could not run /nowhere/run.sh" in end.tail


def test_a_folder_in_use_is_kept_until_nobody_works_in_it(server, make_agent, until):
    agent = make_agent("setsid sleep 300 >/dev/null 2>&1 & echo $! > left.pid; exit 0")
    agent.start()
    server.claim("c1")
    server.until_end("c1")
    until(lambda: "slot_folder.kept" in agent.log.read_text(), "kept")
    folder = agent.one("c1").folder
    left = int((folder / "runner" / "left.pid").read_text())
    assert lives(left, int(Path(f"/proc/{left}/stat").read_text().rpartition(")")[2].split()[19]))
    os.kill(left, signal.SIGKILL)
    until(lambda: not folder.exists(), "removed")


def test_an_official_install_folder_is_copied_without_its_state(server, make_agent, tmp_path):
    install = tmp_path / "actions-runner"
    (install / "bin").mkdir(parents=True)
    (install / "bin" / "Runner.Listener").write_text("program")
    (install / "_work" / "old").mkdir(parents=True)
    for name in (".credentials", ".credentials_rsaparams", ".runner"):
        (install / name).write_text("of somebody else")
    run = install / "run.sh"
    run.write_text('#!/bin/sh\ncd "$(dirname "$0")"; pwd; ls -A; echo "Listening for Jobs"; echo mine > .credentials\n')
    run.chmod(0o755)
    agent = make_agent(command=[str(run)])
    server.acknowledging = False
    agent.start()
    server.claim("c1")
    end = server.until_end("c1")
    home = agent.one("c1").folder / "runner"
    assert end.exit == 0
    assert end.tail.splitlines() == [str(home), "bin", "run.sh", "Listening for Jobs"]
    assert (home / ".credentials").read_text() == "mine\n"
    assert (install / ".credentials").read_text() == "of somebody else"
