"""`andon disk plan`, `sweep` and `who` on a host with a real agent, as a person runs them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from andon.model.wire import JobWord
from tests.agent.conftest import AgentProcess, FakeControlPlane
from tests.support.as_nobody import as_nobody

WORKER = r"""
claim=${ANDON_RUNNER_NAME##*-}
export RUNNER_NAME="$ANDON_RUNNER_NAME" GITHUB_RUN_ID="$claim" GITHUB_RUN_ATTEMPT=1
export GITHUB_REPOSITORY=acme/app GITHUB_JOB=build GITHUB_EVENT_NAME=push GITHUB_ENV="$PWD/env"
: > env; mkfifo "$OUT/go-$claim"; exec 3<> "$OUT/go-$claim"
bash -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED" > "$OUT/hook-$claim"
read -r _ <&3
"""
LISTENER = """exec -a Runner.Listener bash -c '(exec -a Runner.Worker bash "$WORKER"); true'"""


def andon(agent: AgentProcess, *words: str) -> tuple[int, str]:
    command = [
        sys.executable,
        "-m",
        "andon",
        "disk",
        *words,
        "--config",
        str(agent.config),
        "--data",
        str(agent.folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


class Jobs:
    """Jobs that hold a workspace until they are let go."""

    def __init__(self, server: FakeControlPlane, make_agent, folder: Path) -> None:
        self.server, self.out = server, folder / "out"
        self.out.mkdir()
        (folder / "worker.sh").write_text(WORKER)
        exports = f"OUT='{self.out}' WORKER='{folder / 'worker.sh'}'"
        server.policy = {"public_url": "https://board.example", "guard": "act"}
        self.agent: AgentProcess = make_agent(
            command=["bash", "-c", f"export {exports}; {LISTENER}"], count=2, timing={"look": 0.1}
        )
        self.agent.start()
        server.until(lambda: server.slots, "slots")

    def begin(self, run: int, slot: int) -> Path:
        """The job's workspace, with a megabyte in it."""
        self.server.claim(str(run), slot)
        self.server.until(lambda: any(one.run_id == run for one in self.server.leases), f"a lease of run {run}")
        (lease,) = [one for one in self.server.leases if one.run_id == run]
        assert lease.path is not None
        path = Path(lease.path)
        (path / "out").write_bytes(os.urandom(1 << 20))
        return path

    def hear(self, why: str) -> bool:
        """Said again each time: this control plane loses an answer that the agent gave up waiting for."""
        self.server.tell()
        return any(why in "".join(one.held_by) for one in self.server.leases)

    def end(self, run: int, conclusion: str) -> None:
        (self.out / f"go-{run}").write_text("on\n")
        self.server.until_end(str(run))
        self.server.runs[str(run)] = "completed"
        (lease,) = [one for one in self.server.leases if one.run_id == run]
        self.server.jobs |= {lease.id: JobWord(id=run, conclusion=conclusion)}
        self.server.tell()


@pytest.fixture
def jobs(server: FakeControlPlane, make_agent, tmp_path: Path) -> Jobs:
    return Jobs(server, make_agent, tmp_path)


def test_plan_sweep_and_who(jobs: Jobs, until) -> None:
    live, failed = jobs.begin(1, 0), jobs.begin(2, 1)
    jobs.end(2, "failure")
    until(lambda: jobs.hear("kept as evidence"), "the failed one is kept")
    (jobs.agent.root.path / "core.4711").touch()
    code, said = andon(jobs.agent, "plan", "--json")
    plan = json.loads(said)
    (one,) = [each for each in plan["filesystems"] if each["going"]]
    assert code == 1 and [each["path"] for each in one["going"]] == [str(failed)]
    assert [each["path"] for each in one["pinned"]] == [str(live)] and "its job runs" in one["pinned"][0]["by"]
    assert one["unknown"] == [str(jobs.agent.root.path / "core.4711")]
    code, said = andon(jobs.agent, "plan")
    assert str(live) in said and "core.4711" in said and "never touched by us" in said
    code, said = andon(jobs.agent, "sweep")
    assert "Sweeping: 1 directories may go." in said and "0 to go, 0 in the trash" in said
    assert not failed.exists() and live.is_dir()
    code, said = andon(jobs.agent, "who", str(failed / "out"))
    assert code == 0 and "agent:guard" in said and "its run is over, and its space is needed" in said
    code, said = andon(jobs.agent, "who", str(live))
    assert code == 1 and "Nothing is known" in said
    shutil.rmtree(live)
    until(lambda: any(one.actor == "foreign" for one in jobs.server.deletions), "the foreign deletion is told")
    code, said = andon(jobs.agent, "who", str(live / "out"), "--json")
    (foreign,) = [each for each in json.loads(said)["items"] if each["deletion"]["path"] == str(live)]
    assert code == 0 and foreign["stage"] == "seen" and foreign["deletion"]["lease"] == live.name
    if os.geteuid() == 0:
        assert f"The process {os.getpid()} (" in foreign["deletion"]["evidence"][0]
    (jobs.out / "go-1").write_text("on\n")


def test_who_answers_after_a_reboot_from_the_history(jobs: Jobs, until) -> None:
    path = jobs.begin(1, 0)
    jobs.end(1, "success")
    until(lambda: (jobs.hear(""), not path.exists())[1], "its run is over")
    for actor in ("agent:keeper", "agent:supervisor"):
        until(lambda actor=actor: any(one.actor == actor for one in jobs.server.deletions), f"{actor} has told")
    jobs.agent.end(15)
    from andon.agent.leases.place import lease_folder

    place = lease_folder(jobs.agent.root.path, environ=os.environ, uid=os.geteuid())
    shutil.rmtree(place, ignore_errors=True)
    jobs.agent.start()
    code, said = andon(jobs.agent, "who", str(path))
    assert code == 0 and "agent:keeper" in said and "its run is over" in said
    code, said = andon(jobs.agent, "who", str(jobs.agent.root.claim(0, "1") / "runner"))
    assert code == 0 and "agent:supervisor" in said and "its claim is over" in said and "deleted" in said


def test_a_guard_that_is_switched_off_is_not_swept_with(jobs: Jobs, until) -> None:
    jobs.server.policy = {"public_url": "https://board.example", "guard": "off"}
    jobs.server.tell()
    until(lambda: '"off"' in andon(jobs.agent, "sweep")[1], "the switch is heard of")
    code, said = andon(jobs.agent, "sweep")
    assert code == 2 and 'The guard is switched to "off". Switch it to "act" first' in said


def test_a_stranger_may_ask_and_not_sweep(jobs: Jobs) -> None:
    if os.geteuid() != 0:
        pytest.skip("another user takes root")
    socket = jobs.agent.root.socket

    def ask() -> None:
        from andon.agent.sockets import ask_agent

        assert "disk" in ask_agent(Path(socket.name), {"v": 1, "disk": "plan"})
        refused = ask_agent(Path(socket.name), {"v": 1, "disk": "sweep"})
        assert "Only root and the agent's own user may sweep" in refused["error"]

    for folder in socket.parents:
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    as_nobody(socket.parent, ask)


def test_without_an_agent_there_is_one_sentence(jobs: Jobs) -> None:
    jobs.agent.end(15)
    code, said = andon(jobs.agent, "plan")
    assert code == 2 and "no agent lives on this root" in said and "Traceback" not in said


def test_a_question_that_nobody_knows(jobs: Jobs) -> None:
    from andon.agent.sockets import ask_agent

    for question in ({"disk": "format"}, {"disk": None}, {"disk": {"a": 1}}, {"disk": "who", "path": 7}):
        answer = ask_agent(jobs.agent.root.socket, {"v": 1, **question})
        assert answer.get("ok") is False or answer["touched"] == []
