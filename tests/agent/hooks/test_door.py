"""Hooks that are answered: whose they are, what they may say, and what comes of it."""

import asyncio
import json
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from andon.agent.held import look
from andon.agent.hooks.answers import Begun
from andon.agent.hooks.caller import RunnerProcess
from andon.agent.hooks.orphans import read_orphans
from andon.agent.process_identity import boot_id, start_ticks
from tests.support.hook_door import MadeUpWorkspaces, served_door

NAME = "andon-f-host-a-0-c1"


@pytest.fixture
def workspaces():
    return MadeUpWorkspaces()


@pytest.fixture
def door(hooks, workspaces):
    """Serves hooks; this process is the runner of slot 0."""
    us = RunnerProcess(slot=0, claim="c1", runner=NAME, pid=os.getpid(), start=start_ticks(os.getpid()))
    runners = [us]
    with served_door(hooks.root.socket, workspaces, lambda: runners):
        yield runners


def exchange(path: Path, data: bytes) -> dict:
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect(str(path))
        try:
            ours.sendall(data)
            return json.loads(ours.makefile("rb").readline() or b"{}")
        except (BrokenPipeError, ConnectionResetError):
            return {}


def request(**env: str) -> bytes:
    full = {"GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1", "RUNNER_NAME": NAME, **env}
    return json.dumps({"v": 1, "hook": "started", "pid": 1, "env": full}).encode() + b"\n"


def test_what_the_keeper_says_reaches_the_steps(hooks, door, workspaces):
    hostile = "a\nB=c\nandon_x\n::set-env name=x::y\r\n"
    workspaces.answer = Begun(
        workspace="11-2-build-0123456789",
        env={"ANDON_WORKSPACE": "/w", "TWO_LINES": hostile, "GITHUB_TOKEN": "x", "NODE_OPTIONS": "x", "a b": "x"},
        path=("/w/bin", "relative"),
        base="base 3 h old",
        notices=("::error::x\n::add-mask::y", "see ##[add-path]/x"),
    )
    ran = hooks.call()
    assert ran.code == 0
    assert ran.lines == [
        "Andon: host host-a, slot 0, base 3 h old, https://board.example/jobs/11-2-build-0123456789",
        "Andon: ::error::x ::add-mask::y",
        "Andon: see # [add-path]/x",
    ]
    assert set(ran.env) == {"ANDON_WORKSPACE", "TWO_LINES"} and ran.path == ["/w/bin"]
    assert hostile in hooks.env_file.read_bytes().decode()
    job, process, slot, claim = workspaces.begun[0]
    assert (job.repository, job.run_id, job.attempt, job.job, job.runner) == ("acme/app", 11, 2, "build", NAME)
    assert (process.pid, process.start) == (os.getpid(), start_ticks(os.getpid()))
    assert (process.uid, process.gid, slot, claim) == (os.geteuid(), os.getegid(), 0, "c1")
    assert hooks.call("completed").lines == ["Andon: bye"] and len(workspaces.ended) == 1


def test_the_job_process_is_the_outermost_that_is_called_so(hooks, door, workspaces):
    """Job code can call a process of its own Runner.Worker, and its lease would end when it wants."""
    forged = 'exec -a Runner.Worker bash -c \'"$@"; true\' x "$@"'
    real = f'exec -a /x/bin/Runner.Worker bash -c \'echo $$; bash -c "$0" x "$@"; true\' {shlex.quote(forged)} "$@"'
    ran = hooks.call(under=("bash", "-c", real, "x"))
    assert ran.code == 0
    assert str(workspaces.begun[0][1].pid) == ran.lines[0]


def test_a_host_with_a_thousand_workspaces_answers_its_hooks(hooks, door, workspaces):
    """Each lease is an open file: an agent with 500 of them left every further job without a workspace."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 1300, "this test needs more descriptors than it may have"
    held = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(1100)]
    try:
        assert max(held) > 1023
        assert hooks.call().code == 0
        assert len(workspaces.begun) == 1
    finally:
        for each in held:
            os.close(each)


def test_a_stranger_gets_nothing(hooks, door, workspaces):
    door.clear()
    ran = hooks.call()
    assert (ran.code, ran.env) == (0, {})
    assert ran.lines[0].startswith("Andon: no workspace for this job: This process belongs to no job of this host.")
    hooks.plan(isolation="required")
    assert hooks.call().code == 1
    assert not workspaces.begun and not read_orphans(hooks.root)[0]


def test_a_runner_of_another_boot_or_number_is_a_stranger(hooks, door, workspaces):
    door[0] = RunnerProcess(slot=0, claim="c1", runner=NAME, pid=os.getpid(), start=start_ticks(os.getpid()) + 1)
    assert "belongs to no job" in hooks.call().lines[0] and not workspaces.begun


def test_another_runners_name_is_refused(hooks, door, workspaces):
    hooks.env["RUNNER_NAME"] = "andon-f-host-a-1-c2"
    ran = hooks.call()
    assert ran.env == {} and "belongs to the runner 'andon-f-host-a-0-c1' of slot 0" in ran.lines[0]
    assert not workspaces.begun


def test_an_adopted_runner_is_known_by_its_folder(hooks, door, workspaces):
    listener = hooks.folder / "runner"
    listener.mkdir()
    door[0] = RunnerProcess(slot=3, claim=None, runner=NAME, folder=str(listener))
    under = ("bash", "-c", f'cd {listener}; exec -a bin/Runner.Listener bash -c "$*; true" x "$@"', "x")
    assert hooks.call(under=under).code == 0
    assert [(slot, claim) for _, _, slot, claim in workspaces.begun] == [(3, None)]
    elsewhere = ("bash", "-c", 'exec -a bin/Runner.Listener bash -c "$*; true" x "$@"', "x")
    assert "belongs to no job" in hooks.call(under=elsewhere).lines[0]


def test_a_caller_that_died_gets_nothing(hooks, door, workspaces):
    """Its connection lives on in a child, which the kernel still calls by the dead one's number."""
    code = (
        "import os, socket, sys; d = socket.socket(socket.AF_UNIX); d.connect(sys.argv[1])\n"
        "if os.fork(): os._exit(0)\n"
        "sys.stdin.read()\n"
        "d.sendall(sys.argv[2].encode() + b'\\n'); print(d.makefile().readline(), flush=True)"
    )
    asking = subprocess.Popen(
        [sys.executable, "-c", code, str(hooks.root.socket), request().decode().strip()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert asking.wait() == 0
    asking.stdin.close()
    answer = json.loads(asking.stdout.read())
    asking.stdout.close()
    assert answer["ok"] is False and answer["error"].endswith(".") and not workspaces.begun


@pytest.mark.parametrize(
    "line",
    [
        request(GITHUB_RUN_ID="../../etc"),
        request(GITHUB_RUN_ID="9" * 30),
        request(GITHUB_RUN_ID="٣"),
        request(GITHUB_RUN_ATTEMPT="0"),
        request(GITHUB_REPOSITORY="../../etc/passwd"),
        request(GITHUB_REPOSITORY="a/.."),
        request(GITHUB_REF="x" * 5000),
        b'{"v": 2, "hook": "started"}\n',
        b'{"v": 1, "hook": "other"}\n',
        b'{"v": 1, "hook": "started", "env": {"GITHUB_JOB": 1}}\n',
        b'{"v": 1, "hook": "started", "env": {"GITHUB_JOB": "\\ud800"}}\n',
        b'{"v": 1, "hook": "started", "env": {"GITHUB_JOB": "\xff"}}\n',
        b"[" * 30_000 + b"\n",
    ],
)
def test_bad_input_is_answered_in_one_sentence(hooks, door, workspaces, line):
    answer = exchange(hooks.root.socket, line)
    assert answer["ok"] is False and answer["error"].endswith(".") and len(answer["error"]) < 400
    assert not workspaces.begun


def test_names_come_out_clean(hooks, door, workspaces):
    line = request(GITHUB_REF="refs/heads/a\nb\x1b[31m", GITHUB_JOB="../../etc", RUNNER_TEMP="/a/../b")
    assert exchange(hooks.root.socket, line)["ok"] is True
    job = workspaces.begun[0][0]
    assert (job.ref, job.temp) == ("refs/heads/a?b?[31m", "")


def test_ten_megabytes_are_refused_early(hooks, door, workspaces):
    def resident() -> int:
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

    data, sent = b"x" * 65536, 0
    before = resident()
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect(str(hooks.root.socket))
        try:
            while sent < 10 << 20:
                sent += ours.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < 1 << 20 and resident() - before < 4096
    assert exchange(hooks.root.socket, request())["ok"] is True


def test_a_refusal_of_the_keeper_is_told(hooks, door, workspaces):
    workspaces.refusal = "The disk of this host is full."
    ran = hooks.call()
    assert (ran.code, ran.lines) == (0, ["Andon: no workspace for this job: The disk of this host is full."])


def test_a_keeper_that_hangs_leaves_the_hook_to_itself(hooks, door, workspaces, monkeypatch):
    stuck = threading.Event()

    async def begin(*_: object) -> Begun:
        try:
            await asyncio.Event().wait()
        finally:
            stuck.set()
        raise AssertionError

    monkeypatch.setattr(workspaces, "begin", begin)
    ran = hooks.call()
    assert ran.code == 0 and Path(ran.env["ANDON_WORKSPACE"]).is_dir()
    assert stuck.wait(5), "what it had begun is broken off"


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_an_agent_that_is_stopped_or_gone_costs_no_job(server, make_agent, until, how):
    """A real agent, a real shim, and a hook that is called when nobody answers."""
    go = "while [ ! -e $GO ]; do read -t 0.05 x < $PIPE || :; done; "
    script = (
        'echo "Listening for Jobs"; export GITHUB_REPOSITORY=o/r GITHUB_RUN_ID=1 GITHUB_RUN_ATTEMPT=1 '
        f"GITHUB_JOB=j RUNNER_NAME=$ANDON_RUNNER_NAME GITHUB_ENV=$PWD/env; : > $GITHUB_ENV; {go}"
        "bash -e $ACTIONS_RUNNER_HOOK_JOB_STARTED > said; cp $GITHUB_ENV $GO.env; echo $? > $GO.done; sleep 1000"
    )
    agent = make_agent(command=["/bin/bash", "-c", script])
    go_file = agent.folder / "go"
    os.mkfifo(agent.folder / "pipe")
    agent.environ |= {"GO": str(go_file), "PIPE": str(agent.folder / "pipe")}
    holder = os.open(agent.folder / "pipe", os.O_RDWR)
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    try:
        if how == signal.SIGKILL:
            agent.end(how)
        else:
            agent.process.send_signal(how)
        go_file.touch()
        until(lambda: (agent.folder / "go.done").exists(), "the hook ended")
        assert (agent.folder / "go.done").read_text() == "0\n"
        (orphan,), _ = read_orphans(agent.root)
        (held,) = look(agent.root, boot_id())
        assert "ANDON_WORKSPACE_ID<<" in (agent.folder / "go.env").read_text()
        assert (orphan.slot, orphan.pid, orphan.start) == (0, held.status.pid, held.status.pid_start)
    finally:
        os.close(holder)
        if agent.process is not None:
            agent.process.send_signal(signal.SIGCONT)
