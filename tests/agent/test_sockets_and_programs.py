"""The agent's doors, its small programs, and what it costs at rest."""

import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import msgspec
import pytest

from andon.agent.folder_use import used_folders
from andon.agent.installed_programs import hook_script
from andon.agent.interpreter import anybody_may_run, find_interpreter
from andon.agent.process_identity import start_ticks
from andon.agent.run import agent_status
from andon.runtime.errors import Refused

LISTENS = 'echo "Listening for Jobs"; sleep 1000'


def test_status_over_the_socket(server, make_agent):
    agent = make_agent(LISTENS, count=2)
    with pytest.raises(Refused, match="no agent answers there"):
        agent_status(agent.root.path)
    agent.start()
    server.claim("c1", slot=1)
    server.until_slot(1, "listening")
    status = agent_status(agent.root.path)
    assert (status["host"], status["pid"], status["trouble"]) == ("host-a", agent.process.pid, None)
    assert [slot["state"] for slot in status["slots"]] == ["idle", "listening"]
    assert status["last_sync"].endswith("Z")
    assert stat.S_IMODE(agent.root.shim_socket.stat().st_mode) == 0o600


def test_nonsense_on_the_socket_is_answered_in_one_sentence(server, make_agent):
    agent = make_agent(LISTENS)
    agent.start()
    folder = os.open(agent.root.run, os.O_RDONLY)
    for line in (b"nonsense\n", b'{"v": 1, "what": 2}\n'):
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(f"/proc/self/fd/{folder}/agent.sock")
            door.sendall(line)
            answer = msgspec.json.decode(door.makefile("rb").readline())
        assert answer["ok"] is False and answer["error"].endswith(".")
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(f"/proc/self/fd/{folder}/agent.sock")
        try:
            door.sendall(b"x" * 200_000)
        except OSError:
            pass
    os.close(folder)
    assert agent_status(agent.root.path)["host"] == "host-a"


def test_a_hook_without_its_interpreter_exits_0(tmp_path):
    script = tmp_path / "hook.sh"
    script.write_text(hook_script(Path("/no/such python"), tmp_path / "hook.py", "started"))
    assert len(script.read_text().splitlines()) == 1
    assert subprocess.run(["bash", "-e", str(script)], check=False).returncode == 0


def test_hooks_run_as_the_official_runner_runs_them(server, make_agent):
    script = (
        "export GITHUB_REPOSITORY=o/r GITHUB_RUN_ID=1 GITHUB_RUN_ATTEMPT=1 RUNNER_NAME=$ANDON_RUNNER_NAME; "
        "export GITHUB_ENV=$PWD/env; touch env; "
        "bash -e $ACTIONS_RUNNER_HOOK_JOB_STARTED; echo $?; sh -e $ACTIONS_RUNNER_HOOK_JOB_COMPLETED; echo $?; "
        "env -u ANDON_HOST -u ANDON_SLOT bash -e $ACTIONS_RUNNER_HOOK_JOB_STARTED"
    )
    agent = make_agent(script)
    agent.start()
    server.claim("c1")
    first, zero, again, second = server.until_end("c1").tail.splitlines()
    assert first.startswith("Andon: host host-a, slot 0, no base, https://board.example/jobs/1-1-")
    assert (zero, again) == ("0", "0")
    assert second.endswith("This process has had its workspace already; a job is given one.")


def test_the_interpreter_is_one_that_anybody_may_run(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python3").touch(mode=0o755)
    assert not anybody_may_run(closed / "python3")
    assert not anybody_may_run(tmp_path / "none")
    found = find_interpreter(for_other_users=False)
    assert found.is_absolute() and os.access(found, os.X_OK)


def test_use_of_a_folder_is_seen_by_cwd_open_file_and_program(tmp_path):
    folders = [tmp_path / "slots" / "0" / name for name in ("cwd", "open", "exe", "free")]
    for folder in folders:
        folder.mkdir(parents=True)
    (folders[1] / "file").write_text("x")
    program = folders[2] / "sleep"
    program.write_bytes(Path("/bin/sleep").resolve().read_bytes())
    program.chmod(0o755)
    with (folders[1] / "file").open() as file:
        runs = [
            subprocess.Popen(["sleep", "1000"], cwd=folders[0]),
            subprocess.Popen(["sleep", "1000"], stdin=file),
            subprocess.Popen([str(program), "1000"]),
        ]
    try:
        assert used_folders(folders) == set(folders[:3])
    finally:
        for run in runs:
            run.kill()
            run.wait()
    assert used_folders(folders) == set()


def test_the_agent_at_rest_is_small_and_quiet(server, make_agent):
    agent = make_agent(LISTENS, count=4, timing={"look": 0.2})
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")

    def measure():
        fields = Path(f"/proc/{agent.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    resident = int(Path(f"/proc/{agent.process.pid}/status").read_text().split("VmRSS:")[1].split()[0])
    assert resident <= 60 * 1024
    shim = agent.one("c1").status.shim_pid
    shared = Path(f"/proc/{shim}/smaps_rollup").read_text()
    assert int(shared.split("Rss:")[1].split()[0]) <= 16 * 1024
    # A look costs little: a hundred of them (twenty seconds of it here, eight minutes in service)
    # are too long for a test, so the shim is only seen not to spin.
    assert start_ticks(shim) is not None
    fields = Path(f"/proc/{shim}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[11]) + int(fields[12]) <= os.sysconf("SC_CLK_TCK") // 2
    assert measure() < 3 * os.sysconf("SC_CLK_TCK")
    assert agent.end(signal.SIGTERM) == 0
