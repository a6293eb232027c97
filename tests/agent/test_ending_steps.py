"""The steps of a job are ended, and its runner is left to say so."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from andon.agent import ending_steps
from andon.agent.process_identity import start_ticks
from andon.model.workspaces import JobProcess
from andon.runtime.clock import SystemClock

STEP = """
import os, signal
signal.signal(signal.SIGTERM, signal.{heeds})
print(os.getpid(), flush=True)
signal.pause()
"""
WORKER = """
echo "$$"
"$0" -c "$1" & step=$!
wait $step
echo "the step ended with $?"
read -r line
"""


@pytest.fixture
def workers() -> Iterator[list[subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []
    yield made
    for each in made:
        os.killpg(each.pid, signal.SIGKILL)
        each.wait()
        assert each.stdin is not None and each.stdout is not None
        each.stdin.close()
        each.stdout.close()


def a_worker(workers: list[subprocess.Popen[str]], heeds: str = "SIG_DFL") -> subprocess.Popen[str]:
    workers.append(
        subprocess.Popen(
            ["bash", "-c", WORKER, sys.executable, STEP.format(heeds=heeds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    )
    return workers[-1]


def line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def process_of(pid: int, start: int | None = None) -> JobProcess:
    found = start if start is not None else start_ticks(pid)
    assert found is not None
    return JobProcess(pid=pid, start=found, uid=os.getuid(), gid=os.getgid())


@pytest.mark.parametrize(("heeds", "code"), [("SIG_DFL", 143), ("SIG_IGN", 137)])
def test_what_the_job_runs_ends_and_the_job_goes_on(
    workers: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch, heeds: str, code: int
) -> None:
    """One that hears nothing is ended by force."""
    monkeypatch.setattr(ending_steps, "PATIENCE_S", 0.3)
    worker = a_worker(workers, heeds)
    pid = int(line(worker))
    line(worker)
    assert asyncio.run(ending_steps.end_steps(process_of(pid), SystemClock())) == 1
    assert line(worker) == f"the step ended with {code}"
    assert worker.poll() is None, "the runner's own process is left"


def test_another_process_under_the_same_number_is_left(workers: list[subprocess.Popen[str]]) -> None:
    worker = a_worker(workers)
    pid = int(line(worker))
    step = int(line(worker))
    assert asyncio.run(ending_steps.end_steps(process_of(pid, start=1), SystemClock())) == 0
    assert start_ticks(step) is not None
