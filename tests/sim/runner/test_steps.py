"""Steps as real processes: their environment, what they leave to each other, limits and cancel."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]


def conclusions(server: Any) -> list[str]:
    """Of the job's own steps, without the runner's."""
    return [step["conclusion"] for step in server.completed()["steps"][1:-1]]


def test_githubs_variables_are_there_and_the_jit_config_is_not(server: Any, start: Start) -> None:
    server.offer(
        [
            {"run": "env; echo '--'; tr '\\0' '\\n' < /proc/self/environ; cat $GITHUB_EVENT_PATH", "env": {"OWN": "1"}},
        ],
        env={"JOB": "2", "GITHUB_SHA": "replaced"},
    )
    runner = start(env={"INHERITED": "3"})
    assert runner.exit_code() == 0
    text = "\n".join(server.lines())
    assert "JITCONFIG" not in text
    assert "the-token" not in text
    assert '"pull_request"' in text
    env = dict(line.split("=", 1) for line in server.lines() if re.match(r"\w+=", line))
    folder = runner.folder / "_work"
    expected = {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTION": "__run",
        "GITHUB_ACTOR": "someone",
        "GITHUB_API_URL": f"{server.url}/api",
        "GITHUB_SERVER_URL": server.url,
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_HEAD_REF": "topic",
        "GITHUB_BASE_REF": "main",
        "GITHUB_JOB": "test",
        "GITHUB_REF": "refs/pull/5/merge",
        "GITHUB_REF_NAME": "5/merge",
        "GITHUB_REPOSITORY": "acme/app",
        "GITHUB_REPOSITORY_OWNER": "acme",
        "GITHUB_RUN_ID": "11",
        "GITHUB_RUN_NUMBER": "3",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_SHA": "a" * 40,
        "GITHUB_WORKFLOW": "ci",
        "GITHUB_WORKSPACE": str(folder / "app" / "app"),
        "RUNNER_NAME": "andon-f-host-0-x",
        "RUNNER_OS": "Linux",
        "RUNNER_ENVIRONMENT": "self-hosted",
        "RUNNER_TEMP": str(folder / "_temp"),
        "RUNNER_TOOL_CACHE": str(folder / "_tool"),
        "INHERITED": "3",
        "JOB": "2",
        "OWN": "1",
    }
    assert {name: env.get(name) for name in expected} == expected
    assert re.fullmatch(r"github_s1-7-\d+", env["RUNNER_TRACKING_ID"]), "no other job's, whoever gave its ids"
    assert {"GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "RUNNER_ARCH"} <= env.keys()


def test_the_log_has_githubs_form(server: Any, start: Start) -> None:
    server.offer([{"run": "echo one\nprintf two", "env": {"A": "b"}, "name": "words"}])
    start().exit_code()
    assert server.log.startswith(b"\xef\xbb\xbf2")
    stamped = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z ")
    assert all(stamped.match(line) for line in server.log.decode("utf-8-sig").splitlines())
    lines = server.lines()
    begin = lines.index("##[group]Run echo one")
    shell = lines[begin + 3]
    assert re.fullmatch(r"shell: /\S+/(ba)?sh -e \{0\}", shell)
    assert lines[begin : begin + 9] == [
        "##[group]Run echo one",
        "\x1b[36;1mecho one\x1b[0m",
        "\x1b[36;1mprintf two\x1b[0m",
        shell,
        "env:",
        "  A: b",
        "##[endgroup]",
        "one",
        "two",
    ]
    assert lines[-1] == "Cleaning up orphan processes"
    assert "Runner name: 'andon-f-host-0-x'" in lines
    assert "Complete job name: test (a)" in lines


def test_a_step_changes_the_environment_and_path_of_the_next(server: Any, start: Start) -> None:
    first = """
    echo "SIMPLE=a=b" >> $GITHUB_ENV
    { echo "MANY<<END"; echo line 1; echo line 2; echo END; } >> $GITHUB_ENV
    mkdir bin; echo 'echo from path' > bin/hello-from-path; chmod +x bin/hello-from-path
    echo $PWD/bin >> $GITHUB_PATH
    echo "x=1" >> $GITHUB_OUTPUT; echo '# fine' >> $GITHUB_STEP_SUMMARY
    """
    server.offer([{"run": first}, {"run": 'echo "[$SIMPLE]"; echo "[$MANY]"; hello-from-path'}])
    start().exit_code()
    lines = server.lines()
    assert "[a=b]" in lines
    assert lines[lines.index("[line 1") + 1] == "line 2]"
    assert "from path" in lines


def test_a_broken_environment_file_fails_its_step(server: Any, start: Start) -> None:
    server.offer([{"run": "echo nonsense >> $GITHUB_ENV"}])
    start().exit_code()
    assert conclusions(server) == ["failure"]
    assert "##[error]Unable to process file command 'env' successfully." in server.lines()
    assert "##[error]Invalid format 'nonsense'" in server.lines()


def test_conditions_and_continue_on_error(server: Any, start: Start) -> None:
    server.offer(
        [
            {"run": "false", "continue-on-error": True},
            {"run": "true"},
            {"run": "true", "if": "failure()"},
            {"run": "false"},
            {"run": "true"},
            {"run": "true", "if": "${{ failure() }}"},
            {"run": "true", "if": "always()"},
            {"run": "true", "if": "cancelled()"},
            {"run": "true", "if": "!cancelled()"},
        ]
    )
    start().exit_code()
    expected = ["success", "success", "skipped", "failure", "skipped", "success", "success", "skipped", "success"]
    assert conclusions(server) == expected
    assert server.completed()["conclusion"] == "failure"


def test_an_unknown_condition_fails_the_job_with_a_sentence(server: Any, start: Start) -> None:
    server.offer([{"run": "true", "if": "github.ref == 'x'"}])
    start().exit_code()
    assert conclusions(server) == ["failure"]
    assert any("The expression is not valid: 'github.ref == 'x''" in line for line in server.lines())


def test_the_temporary_folder_is_empty_at_the_start(server: Any, start: Start, tmp_path: Path) -> None:
    left = tmp_path / "slot" / "_work" / "_temp" / "left" / "over"
    left.mkdir(parents=True)
    server.offer([{"run": "test ! -e $RUNNER_TEMP/left"}])
    start().exit_code()
    assert conclusions(server) == ["success"]


def test_working_directory_and_shells(server: Any, start: Start) -> None:
    server.offer(
        [
            {"run": "mkdir -p deep/down"},
            {"run": "pwd", "working-directory": "deep/down"},
            {"run": "import os; print('python', 1 + 1)", "shell": "python"},
            {"run": "echo $0", "shell": "sh"},
            {"run": "false | true", "shell": "bash"},
            {"run": "pwd", "working-directory": "missing", "if": "always()"},
        ]
    )
    runner = start()
    runner.exit_code()
    assert conclusions(server) == ["success", "success", "success", "success", "failure", "failure"]
    assert str(runner.folder / "_work/app/app/deep/down") in server.lines()
    assert "python 2" in server.lines()
    assert any("An error occurred trying to start process" in line for line in server.lines())


def test_a_step_over_its_limit_is_ended_and_fails(server: Any, start: Start) -> None:
    server.offer([{"run": "exec sleep 300", "name": "slow", "timeout-minutes": 0.002}, {"run": "true"}])
    start(timings={}).exit_code()
    assert conclusions(server) == ["failure", "skipped"]
    assert "##[error]The action 'slow' has timed out after 0.002 minutes." in server.lines()
    assert server.completed()["conclusion"] == "failure"


def test_cancel_goes_from_int_to_term_to_kill_and_always_steps_still_run(
    server: Any, start: Start, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    stubborn = f"""
    trap 'echo INT >> {seen}' INT
    trap 'echo TERM >> {seen}' TERM
    RUNNER_TRACKING_ID= setsid sleep 300 & echo $! > {tmp_path}/moved
    touch {tmp_path}/ready
    while :; do sleep 300 & wait $! || true; done
    """
    server.offer(
        [
            {"run": stubborn},
            {"run": "echo skipped-one"},
            {"run": "echo cleaned up", "if": "always()"},
            {"run": "echo was cancelled", "if": "cancelled()"},
        ]
    )
    runner = start(timings={})
    runner.wait_until((tmp_path / "ready").exists)
    server.say({"kind": "cancel", "job_id": 99})
    server.say({"kind": "cancel", "job_id": 7})
    assert runner.exit_code() == 0
    assert seen.read_text().split() == ["INT", "TERM"]
    assert conclusions(server) == ["cancelled", "skipped", "success", "success"]
    assert server.completed()["conclusion"] == "cancelled"
    lines = server.lines()
    assert (
        lines.index("##[error]The operation was canceled.") < lines.index("cleaned up") < lines.index("was cancelled")
    )
    assert "skipped-one" not in lines
    assert "completed with result: Canceled" in runner.text()
    moved = int((tmp_path / "moved").read_text())
    gone = is_gone(moved)
    if not gone:
        os.kill(moved, 9)
    assert gone


def diagnostics_of(runner: Any) -> str:
    return "".join(path.read_text() for path in (runner.folder / "_diag").glob("Worker_*.log"))


def test_a_running_always_step_is_not_ended_by_a_cancel(server: Any, start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    server.offer([{"run": f"read line < {gate}; echo kept going", "if": "always()"}])
    runner = start(timings={})
    server.wait(lambda: server.bodies("PATCH", "/steps"))
    server.say({"kind": "cancel", "job_id": 7})
    runner.wait_until(lambda: "told to stop: cancel" in diagnostics_of(runner))
    gate.write_text("go\n")
    runner.exit_code()
    assert "kept going" in server.lines()
    assert conclusions(server) == ["success"]
    assert server.completed()["conclusion"] == "cancelled"


def test_orphans_with_the_jobs_tracking_id_are_ended_and_escaped_ones_are_not(
    server: Any, start: Start, tmp_path: Path
) -> None:
    leave = f"""
    setsid sleep 300 > /dev/null 2>&1 & echo $! > {tmp_path}/left
    RUNNER_TRACKING_ID= setsid sleep 300 > /dev/null 2>&1 & echo $! > {tmp_path}/escaped
    # Until it has become another program, a process shows its parent's environment.
    for pid in $(cat {tmp_path}/left {tmp_path}/escaped); do
        until [ "$(cat /proc/$pid/comm)" = sleep ]; do :; done
    done
    """
    server.offer([{"run": leave}])
    start().exit_code()
    left, escaped = (int((tmp_path / name).read_text()) for name in ("left", "escaped"))
    try:
        assert f"Terminate orphan process: pid ({left}) (sleep)" in server.lines()
        assert is_gone(left)
        assert not is_gone(escaped)
    finally:
        os.kill(escaped, 9)


def test_a_background_process_that_holds_the_output_does_not_hold_the_job(server: Any, start: Start) -> None:
    server.offer([{"run": "sleep 300 & echo started"}])
    start(timings={}).exit_code()
    assert server.completed()["conclusion"] == "success"
    assert any(line.startswith("The STDIO streams did not close within 0.3 seconds") for line in server.lines())


def test_a_flood_of_output_is_cut_and_costs_no_memory(server: Any, start: Start) -> None:
    server.offer(
        [
            {
                "run": "head -c 40000000 /dev/zero | tr '\\0' y\n"
                "head -c 100000000 /dev/zero | tr '\\0' 'x' | fold -w 150",
            },
            {"run": "grep VmHWM /proc/$PPID/status > peak; exit 4"},
        ]
    )
    runner = start()
    runner.exit_code()
    assert 60_000_000 < len(server.log) < 68_000_000
    peak_kib = int((runner.folder / "_work/app/app/peak").read_text().split()[1])
    assert peak_kib < 60_000
    last = server.lines()[-8:]
    assert any(line.startswith("##[warning]The log was cut here") for line in last)
    assert "##[error]Process completed with exit code 4." in last


def test_workflow_commands_and_masks(server: Any, start: Start) -> None:
    run = "echo ::add-mask::hush-hush; echo say hush-hush; echo '::error file=a.py,line=1::broken'; echo ::group::all"
    server.offer([{"run": run}])
    start().exit_code()
    output = server.lines()[server.lines().index("##[endgroup]", 12) + 1 :]
    assert "say ***" in output
    assert "##[error]broken" in output
    assert "##[group]all" in output


@pytest.mark.parametrize("name", ["acme/..", "acme/a b", "acme/"])
def test_a_repository_name_that_is_no_folder_fails_the_job(server: Any, start: Start, name: str) -> None:
    server.offer([{"run": "true"}], repository=name)
    start().exit_code()
    assert server.completed()["conclusion"] == "failure"
    assert any("not usable as a folder" in line for line in server.lines())


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"
