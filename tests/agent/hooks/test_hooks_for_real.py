"""Hooks of runners that a real agent started: what a job is told, and what it gets when nobody answers (R50, R86)."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from andon.agent.leases.place import lease_folder
from andon.model.wire import JobWord
from andon.sim.runner.file_commands import parse_pairs

JOB = {
    "GITHUB_REPOSITORY": "acme/app",
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "../../etc",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_REF": "refs/heads/../../etc",
    "GITHUB_HEAD_REF": "../../etc",
}
RUNNER = """
export RUNNER_NAME="$ANDON_RUNNER_NAME" GITHUB_ENV="$PWD/env" GITHUB_PATH="$PWD/path"
: > "$GITHUB_ENV"; : > "$GITHUB_PATH"
exec -a Runner.Listener bash -c '
  exec 3<> "$PWD/go"
  (exec -a Runner.Worker bash -c "
     bash -e \\$ACTIONS_RUNNER_HOOK_JOB_STARTED; echo started \\$?; touch \\$PWD/told; read -r line <&3
     bash -e \\$ACTIONS_RUNNER_HOOK_JOB_COMPLETED; echo completed \\$?")
'
"""
SCRIPT = ["bash", "-c", f"mkfifo go; {' '.join(f'export {name}={value!r};' for name, value in JOB.items())} {RUNNER}"]
WORK = {"place": "root", "export": {"CARGO_TARGET_DIR": "target", "CARGO_HOME": "caches/cargo"}}


def told(folder: Path) -> dict[str, str]:
    return parse_pairs((folder / "runner" / "env").read_text(), command="env")


def begin(server, agent, until, claim="c1", slot=0):
    server.claim(claim, slot)
    until(
        lambda: any((one.folder / "runner" / "told").exists() for one in agent.held() if one.claim.claim == claim),
        "told",
    )
    return agent.one(claim).folder


def go_on(folder: Path) -> None:
    (folder / "runner" / "go").write_text("on\n")


@pytest.fixture
def agent(server, make_agent):
    server.policy = {"public_url": "https://board.example", "workspaces": {"p": WORK}}
    one = make_agent(command=SCRIPT, count=2)
    one.start()
    server.until(lambda: server.slots, "slots")
    return one


def test_from_the_first_hook_to_the_trash(server, agent, until):
    folder = begin(server, agent, until)
    said = told(folder)
    path = Path(said["ANDON_WORKSPACE"])
    assert path.parent == agent.root.runs / "0" and path.name.startswith("7-1-etc-"), "a job's name is no path"
    assert said == {
        "ANDON_HOST": "host-a",
        "ANDON_SLOT": "0",
        "ANDON_WORKSPACE": str(path),
        "ANDON_WORKSPACE_EXPORT": "TMPDIR=tmp\nCARGO_TARGET_DIR=target\nCARGO_HOME=caches/cargo",
        "ANDON_WORKSPACE_ID": path.name,
        "CARGO_HOME": f"{path}/caches/cargo",
        "CARGO_TARGET_DIR": f"{path}/target",
        "TMPDIR": f"{path}/tmp",
    }
    assert all(Path(said[name]).is_dir() for name in ("TMPDIR", "CARGO_HOME", "CARGO_TARGET_DIR"))
    server.until(lambda: [one.state for one in server.leases] == ["leased"], "leased")
    assert (server.leases[0].run_id, server.leases[0].repository, server.leases[0].job) == (7, "acme/app", "../../etc")
    go_on(folder)
    end = server.until_end("c1")
    link = f"https://board.example/jobs/{path.name}"
    assert f"Andon: host host-a, slot 0, no base, {link}" in end.tail
    assert "started 0" in end.tail and "completed 0" in end.tail
    server.until(lambda: [one.state for one in server.leases] == ["dead"], "dead")
    assert path.is_dir(), "its run goes on"
    server.runs, server.jobs = {"7": "completed"}, {path.name: JobWord(id=1, conclusion="success")}
    server.tell()
    server.until(lambda: server.leases == (), "gone")
    assert not path.exists()


def test_two_jobs_of_one_key_get_two_directories_and_each_ends_alone(server, agent, until):
    first, second = begin(server, agent, until, "c1", 0), begin(server, agent, until, "c2", 1)
    paths = {told(folder)["ANDON_WORKSPACE"] for folder in (first, second)}
    assert len(paths) == 2
    go_on(first)
    server.until_end("c1")
    server.until(lambda: sorted(one.state for one in server.leases) == ["dead", "leased"], "one of two is over")
    go_on(second)


def test_an_agent_that_was_ended_holds_the_lease_again_before_it_answers(server, agent, until):
    folder = begin(server, agent, until)
    path = Path(told(folder)["ANDON_WORKSPACE"])
    agent.end(signal.SIGKILL)
    agent.start()
    server.leases = ()
    server.resync = True
    server.tell()
    server.until(lambda: [one.state for one in server.leases] == ["leased"], "leased again")
    assert server.leases[0].path == str(path)
    go_on(folder)
    server.until(lambda: [one.state for one in server.leases] == ["dead"], "and ends with its job")


def test_while_no_agent_answers_a_hook_makes_a_directory_itself(server, agent, until):
    folder = begin(server, agent, until, "c1", 0)
    agent.end(signal.SIGKILL)
    job = dict(JOB, RUNNER_NAME="x", GITHUB_ENV=str(folder / "alone"), ANDON_SLOT="1", PATH=os.environ["PATH"])
    (folder / "alone").touch()
    with subprocess.Popen(
        ["bash", "-c", f"bash -e {agent.root.hooks}/job-started.sh; echo ready; read -r line"],
        env=job,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as alone:
        lines = [alone.stdout.readline(), alone.stdout.readline()]
        assert "the agent did not answer, so this directory was made without it" in lines[0] and lines[1] == "ready\n"
        said = parse_pairs((folder / "alone").read_text(), command="env")
        path = Path(said["ANDON_WORKSPACE"])
        assert path.parent == agent.root.standalone / "1" and Path(said["CARGO_TARGET_DIR"]).is_dir()
        agent.start()
        server.until(
            lambda: {one.path: one.state for one in server.leases}.get(str(path)) == "leased",
            "taken up, with its holder",
        )
        assert list(agent.root.orphans.iterdir()) == []
        alone.communicate("end\n")
    server.until(lambda: {one.path: one.state for one in server.leases}.get(str(path)) == "dead", "over with it")
    go_on(folder)


@pytest.mark.parametrize(("isolation", "code"), [("preferred", 0), ("required", 1)])
def test_a_job_without_any_directory_fails_only_where_the_owner_wants_that(server, make_agent, isolation, code):
    agent = make_agent(isolation=isolation)
    agent.start()
    agent.end(signal.SIGTERM)
    (agent.root.standalone / "0").rmdir()
    done = subprocess.run(
        ["bash", "-e", str(agent.root.hooks / "job-started.sh")],
        env=dict(JOB, ANDON_SLOT="0", PATH=os.environ["PATH"]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code and "no agent" not in done.stderr
    assert done.stdout.startswith("Andon: no workspace for this job: ") and len(done.stdout.splitlines()) == 1
    completed = subprocess.run(["bash", "-e", str(agent.root.hooks / "job-completed.sh")], env={}, check=False)
    assert completed.returncode == 0


def ask(agent, line: bytes) -> bytes:
    folder = os.open(agent.root.run, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(10)
            door.connect(f"/proc/self/fd/{folder}/agent.sock")
            try:
                door.sendall(line)
            except OSError:
                return b""
            return door.makefile("rb").readline()
    finally:
        os.close(folder)


def test_a_strangers_process_is_given_nothing(server, agent):
    asked = {"v": 1, "hook": "started", "pid": 1, "env": {**JOB, "RUNNER_NAME": "r"}}
    answer = msgspec.json.decode(ask(agent, msgspec.json.encode(asked) + b"\n"))
    assert answer["ok"] is False and "belongs to no job" in answer["error"]
    assert not any(agent.root.runs.rglob("7-1-*"))


def test_a_message_of_ten_megabytes_is_not_taken_in(server, agent):
    before = _memory(agent.process.pid)
    for _ in range(5):
        ask(agent, b'{"v": 1, "hook": "started", "env": {"A": "' + b"x" * 10_000_000 + b'"}}\n')
    assert _memory(agent.process.pid) < before + 20_000_000
    assert msgspec.json.decode(ask(agent, b'{"v": 1, "status": true}\n'))["status"]["host"] == "host-a"


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


AGAIN = """
export RUNNER_NAME="$ANDON_RUNNER_NAME" GITHUB_ENV="$PWD/env"
: > env
exec -a Runner.Listener bash -c '
  (exec -a Runner.Worker bash -c "
     bash -e \\$ACTIONS_RUNNER_HOOK_JOB_STARTED; cp env first
     (exec -a Runner.Worker bash -c \\"bash -e \\$ACTIONS_RUNNER_HOOK_JOB_STARTED; true\\"); cp env second
     (exec -a Runner.Worker bash -c \\"GITHUB_JOB=other bash -e \\$ACTIONS_RUNNER_HOOK_JOB_STARTED; true\\")
     RUNNER_NAME=another bash -e \\$ACTIONS_RUNNER_HOOK_JOB_STARTED; true")
'
"""


def test_job_code_that_calls_itself_the_runner_gets_nothing_more(server, make_agent):
    """Of what is called Runner.Worker the one next to the runner counts, and it has one workspace in its life."""
    exports = " ".join(f"export {name}={value!r};" for name, value in JOB.items())
    agent = make_agent(command=["bash", "-c", f"{exports} {AGAIN}"])
    agent.start()
    server.claim("c1")
    end = server.until_end("c1")
    folder = agent.one("c1").folder / "runner"
    first, second = ((folder / name).read_text() for name in ("first", "second"))
    ids = [parse_pairs(text, command="env")["ANDON_WORKSPACE_ID"] for text in (first, second)]
    assert ids[0] == ids[1], "asked again, the same is said again"
    assert "This process has had its workspace already" in end.tail
    assert "RUNNER_NAME is 'another'" in end.tail
    assert len(list((agent.root.runs / "0").iterdir())) == 1


@pytest.mark.parametrize("value", ["a\nb", "\udcff\udcfe", "x" * 5000, "::set-env name=A::b"])
def test_odd_text_in_the_job_s_variables_breaks_nothing(server, agent, tmp_path, value):
    env = {**JOB, "GITHUB_REF": value, "GITHUB_ENV": str(tmp_path / "env"), "ANDON_SOCKET": str(agent.root.socket)}
    (tmp_path / "env").touch()
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(agent.root.hooks / "hook.py"), "started"],
        env={name: os.fsencode(text) for name, text in env.items()},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0 and b"This process belongs to no job" in done.stdout


def test_leases_lie_on_tmpfs_and_go_with_the_last_of_them(server, agent):
    place = lease_folder(agent.root.path, environ=os.environ, uid=os.geteuid())
    assert place.is_dir()
    agent.end(signal.SIGTERM)
    assert not place.exists()


def over(server, path: Path) -> None:
    server.until(lambda: "leased" not in [one.state for one in server.leases if one.id == path.name], "its job is over")
    server.runs, server.jobs = {"7": "completed"}, {path.name: JobWord(id=1, conclusion="success")}
    server.tell()


def again(server, agent) -> None:
    """Another look, at once: that of another agent."""
    agent.end(signal.SIGKILL)
    server.leases, asked = None, len(server.requests)
    agent.start()
    server.until(lambda: len(server.requests) > asked, "its first report")
    server.tell()


def test_a_link_in_place_of_a_run_directory_is_not_followed_and_not_taken(server, agent, until, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("not ours")
    folder = begin(server, agent, until)
    path = Path(told(folder)["ANDON_WORKSPACE"])
    path.rename(path.with_name("aside"))
    path.symlink_to(tmp_path / "outside")
    go_on(folder)
    server.until_end("c1")
    over(server, path)
    server.until(lambda: any(one.held_by for one in server.leases), "it is said why it stays")
    assert path.is_symlink() and (tmp_path / "outside" / "file").read_text() == "not ours"
    path.unlink()
    path.with_name("aside").rename(path)
    again(server, agent)
    server.until(lambda: server.leases == (), "gone")
    assert not path.exists() and (tmp_path / "outside" / "file").exists()


def test_what_is_mounted_in_a_run_directory_keeps_it_and_survives(server, agent, until, tmp_path):
    if os.getuid() != 0:
        pytest.skip("kernel: mounting needs root")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("not ours")
    folder = begin(server, agent, until)
    path = Path(told(folder)["ANDON_WORKSPACE"])
    if subprocess.run(["mount", "--bind", tmp_path / "outside", path / "target"], check=False).returncode:
        pytest.skip("kernel: nothing can be mounted here")
    try:
        go_on(folder)
        server.until_end("c1")
        over(server, path)
        server.until(lambda: any("mounted" in why for one in server.leases for why in one.held_by), "it is said")
        assert path.is_dir()
    finally:
        subprocess.run(["umount", path / "target"], check=True)
    again(server, agent)
    server.until(lambda: server.leases == (), "gone")
    assert not path.exists()
    assert (tmp_path / "outside" / "file").read_text() == "not ours"


def test_a_second_agent_on_one_root_is_refused_and_disturbs_nothing(server, agent, until):
    folder = begin(server, agent, until)
    program = [sys.executable, str(Path(__file__).parents[1] / "agent_program.py"), str(agent.config), "{}"]
    second = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode != 0 and "ready" not in second.stdout
    assert str(agent.root.path) in second.stderr and str(agent.process.pid) in second.stderr, second.stderr
    go_on(folder)
    assert "completed 0" in server.until_end("c1").tail


def test_jobs_go_on_when_the_tmpfs_of_their_leases_is_full(server, make_agent, until):
    """Two leases fit: the third job is told that it has no workspace, and does not fail; the others end as ever."""
    if os.getuid() != 0:
        pytest.skip("kernel: mounting a tmpfs needs root")
    server.policy = {"workspaces": {"p": WORK}}
    agent = make_agent(command=SCRIPT, count=3)
    place = lease_folder(agent.root.path, environ=os.environ, uid=os.geteuid())
    place.parent.mkdir(mode=0o700, exist_ok=True)
    place.mkdir(mode=0o700)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", place], check=False).returncode:
        pytest.skip("kernel: no tmpfs can be mounted here")
    try:
        agent.start()
        server.until(lambda: server.slots, "slots")
        assert os.statvfs(place).f_bfree == 0, "not a byte is free from the start"
        first, _, third = (begin(server, agent, until, f"c{slot}", slot) for slot in range(3))
        server.until(lambda: [one.state for one in server.leases] == ["leased"] * 2, "two by their spares")
        path = Path(told(first)["ANDON_WORKSPACE"])
        assert told(third) == {}
        go_on(third)
        tail = server.until_end("c2").tail
        assert "Andon: no workspace for this job" in tail and "started 0" in tail and "completed 0" in tail
        go_on(first)
        server.until_end("c0")
        over(server, path)
        server.until(lambda: path.name not in {one.id for one in server.leases}, "it is gone")
    finally:
        agent.clean_up()
        subprocess.run(["umount", place], check=True)
        place.rmdir()
