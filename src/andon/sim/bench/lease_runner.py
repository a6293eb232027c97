"""A runner of the benchmark "lease": its jobs ask the agent for a workspace as a hook does, and say how long it took.

Called with one word of JSON in the place of a JIT config: `{"hold": FILE}` is one job that keeps its workspace;
`{"rounds": N, "times": FILE, "bare": SOCKET}` is N jobs, one after the other, each of which also asks a bare server.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

WORKER = "Runner.Worker"
"""By this word in its command line the agent knows the job's process below the runner."""


def ask(path: str, request: bytes) -> tuple[float, bytes]:
    """Milliseconds from the connection to the whole answer, and the answer."""
    began = time.monotonic_ns()
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(path)
        door.sendall(request)
        with door.makefile("rb") as answers:
            line = answers.readline()
    return (time.monotonic_ns() - began) / 1e6, line


def one_job(number: int, bare: str | None) -> dict[str, float]:
    """Takes a workspace for this process. Raises OSError and ValueError; an answer without a workspace is one."""
    env = {
        "GITHUB_REPOSITORY": "bench/app",
        "GITHUB_RUN_ID": str(number),
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_JOB": "job",
        "RUNNER_NAME": os.environ["ANDON_RUNNER_NAME"],
    }
    request = json.dumps({"v": 1, "hook": "started", "pid": os.getpid(), "env": env}).encode() + b"\n"
    spent, line = ask(os.environ["ANDON_SOCKET"], request)
    answer = json.loads(line or b"{}")
    if not answer.get("workspace"):
        raise ValueError(f"the agent made no workspace: {line.decode(errors='replace')}")
    return {"ours": spent, "bare": ask(bare, request)[0]} if bare else {"ours": spent}


def in_a_process(number: int, bare: str | None) -> "subprocess.Popen[bytes]":
    """The same in a process of its own, which is the job's; it tells what came of it in one line."""
    command = [sys.executable, "-I", "-S", __file__, WORKER, str(number), bare or ""]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def told_by(job: "subprocess.Popen[bytes]") -> dict[str, float]:
    """What a job tells. Raises ValueError when it got no workspace."""
    assert job.stdout is not None
    found = json.loads(job.stdout.readline() or b'{"error": "the job ended without a word"}')
    if "error" in found:
        raise ValueError(found["error"])
    return found


def job(number: int, bare: str | None) -> None:
    """A job; the one that asks nobody else keeps its workspace."""
    try:
        print(json.dumps(one_job(number, bare)), flush=True)
    except (OSError, ValueError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    if bare is None:
        signal.pause()


def runner() -> None:
    """Does the task, and writes what came of it where it is told to."""
    task = json.loads(os.environ["ACTIONS_RUNNER_INPUT_JITCONFIG"])
    out = Path(task.get("hold") or task["times"])
    holder: subprocess.Popen[bytes] | None = None
    try:
        if "hold" in task:
            holder = in_a_process(1_000_000 + int(os.environ["ANDON_SLOT"]), None)
            told_by(holder)
            told: object = "held"
        else:
            times: list[dict[str, float]] = []
            for number in range(task["rounds"]):
                with in_a_process(number + 1, task["bare"]) as one:
                    times.append(told_by(one))
            told = times
    except (OSError, ValueError) as error:
        told = {"error": str(error)}
    unfinished = out.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(told))
    unfinished.rename(out)
    if holder is not None:
        holder.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == [WORKER]:
        job(int(sys.argv[2]), sys.argv[3] or None)
    else:
        runner()
