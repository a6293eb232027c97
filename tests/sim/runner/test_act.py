"""The parts of the act wrapper that need no act: its options, and reading what act prints.

The whole of it, with the real act, is in tests/acceptance/test_real_workflow.py.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from andon.runtime.errors import Refused
from andon.sim.runner.act_command import ActFolders, act_command, write_files
from andon.sim.runner.act_options import workflow_order
from andon.sim.runner.act_output import ActOutput
from andon.sim.runner.job_log import JobLog
from andon.sim.runner.messages import Job, StepReport, job_from
from andon.sim.runner.step_table import StepTable, Title


class NoReporter:
    def show(self, steps: list[StepReport]) -> None:
        return


def workflow(folder: Path, text: str = "on: push\n") -> Path:
    file = folder / ".github" / "workflows" / "ci.yml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_the_tree_is_the_repository_of_the_file(tmp_path: Path) -> None:
    file = workflow(tmp_path)
    assert workflow_order(["--with-act", str(file), "--act", "sh"])["tree"] == str(tmp_path)
    plain = tmp_path / "plain.yml"
    plain.write_text("on: push\n")
    assert workflow_order(["--with-act", str(plain), "--act", "sh"])["tree"] == str(tmp_path)
    elsewhere = workflow_order(["--with-act", str(file), "--act", "sh", "--checkout", str(file.parent)])
    assert elsewhere["tree"] == str(file.parent)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--with"], "--with: no such option"),
        (["--with-act"], "--with-act: its value is missing"),
        (["--act", "sh"], "Name it with --with-act FILE"),
        (["--with-act", "absent.yml"], "absent.yml: cannot be read (No such file or directory)"),
        (["--with-act", "FILE", "--act", "no-such-act"], "no-such-act: no such program. Install act"),
        (["--with-act", "FILE", "--checkout", "absent"], "absent: no such folder"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    file = workflow(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused) as refused:
        workflow_order([each.replace("FILE", str(file)) for each in arguments])
    assert said in str(refused.value)


@pytest.mark.parametrize("uses", ["owner/name@v1", '"docker://alpine"', "actions/setup-python@v5"])
def test_actions_from_the_network_are_refused_with_file_and_line(tmp_path: Path, uses: str) -> None:
    file = workflow(tmp_path, f"jobs:\n  a:\n    steps:\n      - uses: actions/checkout@v4\n      - uses: {uses}\n")
    with pytest.raises(Refused, match=r"ci\.yml:5: .* would be fetched from the network"):
        workflow_order(["--with-act", str(file), "--act", "sh"])


def test_the_listener_ends_before_it_registers_when_an_option_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "andon.sim.runner", "--with-act", "absent.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, "terminated, do not retry"
    assert done.stderr.count("\n") == 1 and "absent.yml: cannot be read" in done.stderr


def a_job(**more: Any) -> Job:
    job = {
        "id": 1,
        "name": "build",
        "key": "build",
        "repository": "acme/app",
        "event": "push",
        "labels": ["one", "two"],
    }
    return job_from({"job": {**job, **more}})


def test_values_of_variables_stand_in_a_closed_file_and_not_on_the_command_line(tmp_path: Path) -> None:
    folders = ActFolders(start=tmp_path / "start", cache=tmp_path / "cache")
    job = a_job(env={"SECRET": "sesame", "MATRIX_size": "large"})
    write_files(folders, job, {"GITHUB_RUN_ID": "7", "EXPORTED": "two\nlines '$HOME'", "GITHUB_WORKSPACE": "/ours"})
    command = act_command({"program": "/bin/act", "file": "/t/ci.yml", "tree": "/t"}, job, folders)
    file = Path(command[command.index("--env-file") + 1])
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text()) == {"GITHUB_RUN_ID": "7", "EXPORTED": "two\nlines '$HOME'"}
    assert "sesame" not in " ".join(command)
    assert [command[n + 1] for n, word in enumerate(command) if word == "--platform"] == [
        "one=-self-hosted",
        "two=-self-hosted",
    ]
    assert command[command.index("--matrix") + 1] == "size:large"
    assert "--pull=false" in command and "--no-cache-server" in command


@pytest.fixture
def played(tmp_path: Path) -> Callable[..., tuple[ActOutput, list[str], list[StepReport]]]:
    """Feeds lines to an ActOutput, cut at every byte, and gives it with the log and the rows."""

    def play(*lines: object, stopped: bool = False) -> tuple[ActOutput, list[str], list[StepReport]]:
        log = JobLog(tmp_path / "log")
        table = StepTable([Title("setup", "Set up job"), Title("complete", "Complete job")], NoReporter())  # type: ignore[arg-type]
        table.start("setup")
        table.end("setup", "success")
        output = ActOutput("build", log, table, is_stopped=lambda: stopped)
        text = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
        for at in range(len(text)):
            output.take(text[at : at + 1])
        output.end("failure")
        log.close()
        shown = (tmp_path / "log").read_text(encoding="utf-8-sig").splitlines()
        return output, [line.partition(" ")[2] for line in shown], table.rows()

    return play


def said(msg: str, step: str = "one", number: str = "0", **more: Any) -> dict[str, Any]:
    ours = {"job": "ci/build", "jobID": "build", "matrix": {}, "level": "info", "msg": msg}
    return {**ours, "stage": "Main", "step": step, "stepID": [number], **more}


def test_steps_come_with_their_numbers_between_the_others(played: Callable[..., Any]) -> None:
    output, log, rows = played(
        said("⭐ Run Main one"),
        said("half a line\n", raw_output=True),
        said("  ✅  Success - Main one", stepResult="success"),
        said("⭐ Run Main two", step="echo a\nexit 4\n", number="1"),
        said("  ❌  Failure - Main two", step="echo a\nexit 4\n", number="1", stepResult="failure"),
        said("exitcode '4': failure", number="1", level="error"),
        {"jobID": "build", "matrix": {}, "msg": "🏁  Job failed", "jobResult": "failure", "level": "info"},
        b"Error: Job 'build' failed",
    )
    assert [(row["number"], row["name"], row["conclusion"]) for row in rows] == [
        (1, "Set up job", "success"),
        (2, "one", "success"),
        (3, "Run echo a", "failure"),
        (4, "Complete job", None),
    ]
    assert log[:3] == ["##[group]Run one", "##[endgroup]", "half a line"]
    assert output.results == ["failure"] and output.last_words == "Error: Job 'build' failed"


def test_what_a_step_prints_is_never_taken_for_acts_own_words(played: Callable[..., Any]) -> None:
    forged = json.dumps(said("🏁  Job succeeded", jobResult="success"))
    output, log, rows = played(
        said("⭐ Run Main one"),
        said(f"{forged}\n", raw_output=True),
        said("⭐ Run Main two\n", raw_output=True),
        said("Skipping unsupported platform\n", raw_output=True),
    )
    assert output.results == [] and not output.not_chosen
    assert [row["name"] for row in rows] == ["Set up job", "one", "Complete job"]
    assert forged in log and rows[1]["conclusion"] == "failure", "act ended before the step did"


def test_a_step_that_a_cancel_ends_is_cancelled(played: Callable[..., Any]) -> None:
    _, log, rows = played(
        said("⭐ Run Main one"),
        said("  ❌  Failure - Main one", stepResult="failure"),
        said("this step has been cancelled: signal: killed", level="error"),
        stopped=True,
    )
    assert rows[1]["conclusion"] == "cancelled"
    assert not [line for line in log if "signal: killed" in line]


def test_lines_of_others_are_no_steps_of_this_job(played: Callable[..., Any]) -> None:
    other = {"job": "ci/needed", "jobID": "needed"}
    output, log, rows = played(
        {"level": "warning", "msg": "Couldn't get a valid docker connection"},
        said("⭐ Run Main one", **other),
        said("from the needed job\n", raw_output=True, **other),
        said("🏁  Job succeeded", jobResult="success", **other),
        {"level": "error", "msg": "act is unwell"},
    )
    assert output.results == [] and output.legs == set()
    assert [row["name"] for row in rows] == ["Set up job", "Complete job"]
    assert log == ["from the needed job", "##[error]act is unwell"]
