"""The hooks as the stand-in runner calls them, answered by the agent's door: what its steps see."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from andon.agent.hooks.answers import Begun
from andon.agent.hooks.caller import RunnerProcess
from andon.agent.hooks.plan import HookPlan, PlannedSlot, prepare_standalone, write_plan
from andon.agent.installed_programs import install_programs
from andon.agent.layout import Root
from andon.agent.process_identity import start_ticks
from tests.support.hook_door import MadeUpWorkspaces, served_door

NAME = "andon-f-host-0-x"


def prepared(tmp_path: Path) -> tuple[Root, dict[str, str]]:
    root = Root(path=tmp_path / "root")
    root.make()
    programs = install_programs(root, Path(sys.executable).resolve())
    prepare_standalone(root, {0: None})
    write_plan(root, HookPlan(host="host-a", slots={"0": PlannedSlot(export={"CARGO_TARGET_DIR": "target"})}))
    return root, {
        "ACTIONS_RUNNER_HOOK_JOB_STARTED": str(programs.job_started),
        "ACTIONS_RUNNER_HOOK_JOB_COMPLETED": str(programs.job_completed),
        "ANDON_SOCKET": str(root.socket),
        "ANDON_SLOT": "0",
    }


def test_the_lease_hangs_on_the_jobs_own_process(server: Any, start: Callable[..., Any], tmp_path: Path) -> None:
    root, env = prepared(tmp_path)
    workspaces = MadeUpWorkspaces()
    workspaces.answer = Begun(workspace="11-2-test-0123456789", env={"FROM_AGENT": "two\nlines"}, path=("/from/agent",))
    runners: list[RunnerProcess] = []
    server.offer([{"run": 'echo "$FROM_AGENT" ${PATH%%:*}; echo "job $PPID"'}])
    with served_door(root.socket, workspaces, lambda: runners):
        runner = start(env=env)
        pid = runner.process.pid
        runners.append(RunnerProcess(slot=0, claim="c1", runner=NAME, pid=pid, start=start_ticks(pid)))
        assert runner.exit_code() == 0
    lines = server.lines()
    said = "Andon: host host-a, slot 0, no base, https://board.example/jobs/11-2-test-0123456789"
    assert said in lines and "lines /from/agent" in lines and "Andon: bye" in lines
    job, process, slot, claim = workspaces.begun[0]
    assert (job.run_id, job.attempt, job.job, slot, claim) == (11, 2, "test", 0, "c1")
    assert job.tracking and job.temp.endswith("/_work/_temp") and job.workspace.endswith("/_work/app/app")
    assert f"job {process.pid}" in lines, "the process that stands for Runner.Worker"
    assert process.pid != pid and workspaces.ended[0][1] == process


def test_without_an_agent_each_step_has_a_directory_all_the_same(
    server: Any, start: Callable[..., Any], tmp_path: Path
) -> None:
    root, env = prepared(tmp_path)
    server.offer([{"run": 'test -d "$CARGO_TARGET_DIR" && test -w "$TMPDIR" && echo "in ${ANDON_WORKSPACE%/*}"'}])
    assert start(env=env).exit_code() == 0
    assert server.completed()["conclusion"] == "success"
    assert f"in {root.standalone}/0" in server.lines()
