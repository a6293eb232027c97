"""The listener: what it prints, how it ends, and what it does when the server or a signal says so."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]


def test_one_job_from_registration_to_exit(server: Any, start: Start) -> None:
    server.offer([{"run": "echo hello; pwd"}])
    runner = start()
    assert runner.exit_code() == 0
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "T", runner.text())
    assert text == (
        "\n√ Connected to GitHub\n\nCurrent runner version: '2.336.0'\nT: Listening for Jobs\n"
        "T: Running job: test (a)\nT: Job test (a) completed with result: Succeeded\n"
    )
    done = server.completed()
    assert done["conclusion"] == "success"
    assert [(step["number"], step["name"], step["conclusion"]) for step in done["steps"]] == [
        (1, "Set up job", "success"),
        (2, "Run echo hello; pwd", "success"),
        (3, "Complete job", "success"),
    ]
    assert server.bodies("DELETE", "/s1") == [None]
    workspace = runner.folder / "_work" / "app" / "app"
    assert str(workspace) in server.lines()
    assert list((runner.folder / "_work" / "_temp").iterdir()) == []
    assert len(list((runner.folder / "_diag").glob("Runner_*-utc.log"))) == 1
    assert len(list((runner.folder / "_diag").glob("Worker_*-utc.log"))) == 1
    assert not (runner.folder / ".runner").exists()


def test_progress_is_shown_while_a_step_runs(server: Any, start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    server.offer([{"run": f"read line < {gate}"}])
    start()
    shown = server.wait(lambda: server.bodies("PATCH", "/steps"))[0]
    assert [(step["status"], step["conclusion"]) for step in shown["steps"]] == [
        ("completed", "success"),
        ("in_progress", None),
        ("queued", None),
    ]
    gate.write_text("go\n")
    assert server.completed()["conclusion"] == "success"


def test_a_failed_job_still_ends_the_listener_with_0(server: Any, start: Start) -> None:
    server.offer([{"run": "exit 3"}, {"run": "echo never"}])
    runner = start()
    assert runner.exit_code() == 0
    assert "Job test (a) completed with result: Failed" in runner.text()
    assert server.completed()["conclusion"] == "failure"
    assert "##[error]Process completed with exit code 3." in server.lines()
    assert "never" not in server.lines()
    assert server.completed()["steps"][2]["conclusion"] == "skipped"


@pytest.mark.parametrize("jit", [None, "%%%", "bm9uc2Vuc2U=", "e30="])
def test_without_a_usable_jit_config_it_says_so_and_exits_1(start: Start, jit: str | None) -> None:
    runner = start(jit=jit)
    assert runner.exit_code() == 1
    assert runner.text().startswith("ACTIONS_RUNNER_INPUT_JITCONFIG ")
    assert runner.text().count("\n") == 1
    assert not jit or jit not in runner.text()


@pytest.mark.parametrize(
    ("call", "status", "words", "code", "phrase"),
    [
        (
            "sessions",
            401,
            "",
            1,
            "Failed to create a session. The runner registration has been deleted from the server",
        ),
        ("message", 401, "", 1, "The runner registration has been deleted from the server, please re-configure."),
        ("sessions", 409, "", 5, "A session for this runner already exists."),
        ("sessions", 403, "version deprecated", 7, "v2.336.0 is deprecated and cannot receive messages."),
    ],
)
def test_refusals_end_it_with_the_official_codes(
    server: Any, start: Start, call: str, status: int, words: str, code: int, phrase: str
) -> None:
    server.refuse_always[call] = (status, words)
    runner = start(timings={})
    assert runner.exit_code() == code
    assert phrase in runner.text()


def test_a_session_conflict_that_passes_is_waited_out(server: Any, start: Start) -> None:
    server.refuse["sessions"] = (409, "")
    server.offer([{"run": "true"}])
    runner = start(timings={})
    assert runner.exit_code() == 0
    assert runner.text().index("already exists") < runner.text().index("Listening for Jobs")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_idle_takes_it_offline_and_exits_0(server: Any, start: Start, number: int) -> None:
    runner = start()
    server.wait(lambda: server.bodies("GET", "wait_s=50"))
    runner.process.send_signal(number)
    assert runner.exit_code() == 0
    assert server.bodies("DELETE", "/s1") == [None]
    assert "Exiting..." in runner.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_while_a_job_runs_cancels_it_first(server: Any, start: Start, number: int) -> None:
    server.offer([{"run": "echo started; exec sleep 300"}, {"run": "echo after", "if": "always()"}])
    runner = start(timings={})
    server.wait(lambda: server.bodies("PATCH", "/steps"))
    os.killpg(runner.process.pid, number)
    assert runner.exit_code() == 0
    assert server.completed()["conclusion"] == "cancelled"
    assert any("##[error]The runner has received a shutdown signal." in line for line in server.lines())
    assert "after" in server.lines()
    assert "completed with result: Canceled" in runner.text()


def test_a_lost_connection_is_told_once_and_then_the_reconnection(server: Any, start: Start) -> None:
    server.refuse_always["message"] = (503, "")
    runner = start(timings={})
    server.wait(lambda: len(server.bodies("GET", "wait_s=50")) >= 3)
    server.offer([{"run": "true"}])
    server.refuse_always.clear()
    assert runner.exit_code() == 0
    assert runner.text().count("Retrying until reconnected.") == 1
    assert "Z: Runner connect error: The server answered 503 Service Unavailable. Retrying" in runner.text()
    assert "Z: Runner reconnected." in runner.text()


def test_a_forgotten_session_is_opened_again(server: Any, start: Start) -> None:
    server.refuse["message"] = (404, "")
    server.offer([{"run": "true"}])
    assert start().exit_code() == 0
    assert server.completed()["session"] == "s2"


@pytest.mark.parametrize("status", [404, 409])
def test_after_a_lost_assignment_it_goes_on_listening(server: Any, start: Start, status: int) -> None:
    server.refuse["acquire"] = (status, "")
    server.offer([{"run": "true"}], id=1, name="lost")
    server.offer([{"run": "true"}], id=2, name="next")
    runner = start()
    assert runner.exit_code() == 0
    assert [body["job_id"] for body in server.bodies("POST", "/acquire")] == [1, 2]
    assert "Running job: lost" not in runner.text()
    assert "Running job: next" in runner.text()


def test_a_crashed_job_process_leaves_the_job_to_the_servers_lock(server: Any, start: Start) -> None:
    server.offer([{"run": "exec sleep 300"}])
    runner = start()
    server.wait(lambda: server.bodies("PATCH", "/steps"))
    pid = runner.job_process()
    left = [int(name) for name in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    os.kill(pid, signal.SIGKILL)
    try:
        assert runner.exit_code() == 0
    finally:
        for one in left:
            os.kill(one, signal.SIGKILL)
    assert "completed with result: Failed" in runner.text()
    assert "ended with exit code -9" in runner.text()
    assert server.bodies("POST", "/complete") == []


def test_a_job_goes_on_without_its_listener(server: Any, start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    server.offer([{"run": f"read line < {gate}; echo got $line"}])
    runner = start()
    server.wait(lambda: server.bodies("PATCH", "/steps"))
    runner.process.kill()
    runner.process.wait()
    gate.write_text("on\n")
    assert server.completed()["conclusion"] == "success"
    assert "got on" in server.lines()


def test_the_lock_is_renewed_and_a_lost_one_ends_the_job(server: Any, start: Start) -> None:
    server.offer([{"run": "exec sleep 300"}])
    runner = start(timings={"renew_s": 0.05})
    server.wait(lambda: len(server.bodies("POST", "/renew")) >= 2)
    server.refuse_always["renew"] = (404, "")
    assert runner.exit_code() == 0
    assert "completed with result: Abandoned" in runner.text()


def test_the_end_of_a_job_is_offered_until_the_server_takes_it(server: Any, start: Start) -> None:
    server.refuse["log"] = (503, "")
    server.refuse["complete"] = (500, "")
    server.offer([{"run": "true"}])
    assert start(timings={}).exit_code() == 0
    assert len(server.bodies("POST", "/complete")) == 2
    assert len(server.bodies("PUT", "/log")) == 2


def test_a_reader_that_went_away_does_not_end_it(server: Any, start: Start) -> None:
    runner = start(broken_output=True)
    server.offer([{"run": "echo fine"}])
    assert runner.exit_code() == 0
    assert "fine" in server.lines()


def test_a_file_in_the_runners_folder_is_not_taken_for_a_module(server: Any, start: Start) -> None:
    runner = start()
    server.wait(lambda: server.bodies("GET", "wait_s=50"))
    (runner.folder / "json.py").write_text("raise SystemExit('taken')")
    server.offer([{"run": "true"}])
    assert runner.exit_code() == 0
    assert server.completed()["conclusion"] == "success"
