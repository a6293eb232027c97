"""The two hooks: when they run, what they may change, and what their failure means."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STARTED = "ACTIONS_RUNNER_HOOK_JOB_STARTED"
COMPLETED = "ACTIONS_RUNNER_HOOK_JOB_COMPLETED"
Start = Callable[..., Any]


def hook(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def named(server: Any) -> dict[str, str]:
    return {step["name"]: step["conclusion"] for step in server.completed()["steps"]}


def test_both_run_around_the_job_with_its_variables(server: Any, start: Start, tmp_path: Path) -> None:
    started = hook(
        tmp_path / "job-started.sh",
        'echo "notice $GITHUB_REPOSITORY $GITHUB_RUN_ID $GITHUB_JOB $RUNNER_NAME"; test -f $GITHUB_EVENT_PATH\n'
        'echo "FROM_HOOK=yes" >> $GITHUB_ENV; echo "/from/hook" >> $GITHUB_PATH\n',
    )
    completed = hook(tmp_path / "job-completed.sh", 'echo "bye $FROM_HOOK"; cat > $GITHUB_WORKSPACE/ran < /dev/null\n')
    server.offer([{"run": 'echo "step $FROM_HOOK ${PATH%%:*}"'}])
    runner = start(env={STARTED: started, COMPLETED: completed})
    assert runner.exit_code() == 0
    lines = server.lines()
    order = [
        "A job started hook has been configured by the self-hosted runner administrator",
        f"##[group]Run '{started}'",
        "notice acme/app 11 test andon-f-host-0-x",
        "step yes /from/hook",
        "A job completed hook has been configured by the self-hosted runner administrator",
        "bye yes",
        "Cleaning up orphan processes",
    ]
    assert [lines.index(line) for line in order] == sorted(lines.index(line) for line in order)
    names = ["Set up job", "Set up runner", 'Run echo "step $FROM_HOOK ${PATH%%:*}"', "Complete runner", "Complete job"]
    assert list(named(server)) == names
    assert (runner.folder / "_work/app/app/ran").exists()


@pytest.mark.parametrize("kind", ["fails", "missing", "no script"])
def test_a_started_hook_that_fails_fails_the_job_before_its_steps(
    server: Any, start: Start, tmp_path: Path, kind: str
) -> None:
    path = {
        "fails": hook(tmp_path / "fails.sh", "false\necho not reached\n"),
        "missing": str(tmp_path / "missing.sh"),
        "no script": hook(tmp_path / "hook.txt", "true\n"),
    }[kind]
    reason = {
        "fails": "##[error]Process completed with exit code 1.",
        "missing": f"##[error]File doesn't exist: '{path}'",
        "no script": f"##[error]{path} is not a valid path to a script. Make sure it ends in '.sh'.",
    }[kind]
    completed = hook(tmp_path / "completed.sh", "echo completed anyway\n")
    server.offer([{"run": "echo step", "name": "step"}])
    runner = start(env={STARTED: path, COMPLETED: completed})
    assert runner.exit_code() == 0
    assert reason in server.lines()
    assert "not reached" not in server.lines()
    assert named(server) == {
        "Set up job": "success",
        "Set up runner": "failure",
        "step": "skipped",
        "Complete runner": "success",
        "Complete job": "success",
    }
    assert "completed anyway" in server.lines()
    assert server.completed()["conclusion"] == "failure"


def test_a_completed_hook_that_fails_fails_the_job(server: Any, start: Start, tmp_path: Path) -> None:
    server.offer([{"run": "true"}])
    start(env={COMPLETED: hook(tmp_path / "completed.sh", "exit 9\n")}).exit_code()
    assert named(server)["Complete runner"] == "failure"
    assert server.completed()["conclusion"] == "failure"


@pytest.mark.parametrize("stopped", [False, True])
def test_the_completed_hook_runs_after_a_cancel_but_not_when_the_runner_is_stopped(
    server: Any, start: Start, tmp_path: Path, stopped: bool
) -> None:
    completed = hook(tmp_path / "completed.sh", "echo completed hook\n")
    server.offer([{"run": "exec sleep 300"}])
    runner = start(env={COMPLETED: completed}, timings={})
    server.wait(lambda: server.bodies("PATCH", "/steps"))
    if stopped:
        runner.process.terminate()
    else:
        server.say({"kind": "cancel", "job_id": 7})
    assert runner.exit_code() == 0
    assert server.completed()["conclusion"] == "cancelled"
    assert ("completed hook" in server.lines()) is not stopped
