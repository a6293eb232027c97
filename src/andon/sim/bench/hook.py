"""Benchmark "hook": what a job waits for before its first step, beside an interpreter that does nothing.

The hook runs as the runner runs it, against a real door of the agent in this process; this process
is also the runner that the hook belongs to. CPU is what the kernel charged to each process.
"""

import asyncio
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from andon.agent.hooks.answers import NoWorkspaces, Workspaces
from andon.agent.hooks.caller import RunnerProcess
from andon.agent.hooks.door import HookDoor
from andon.agent.hooks.plan import HookPlan, PlannedSlot, prepare_standalone, write_plan
from andon.agent.installed_programs import install_programs
from andon.agent.layout import Root
from andon.agent.process_identity import start_ticks
from andon.agent.sockets import QuestionDoor
from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.runtime.logging import logger
from andon.sim.bench.figures import Figure, Result, figure, percentile

CPU_MS = 30.0
TIMES_BARE = 2.5
ANSWER_MS = 50.0
_ANSWERS_A_ROUND = 10
_RUNNER = "andon-bench-host-0-x"
_JOB = {"GITHUB_REPOSITORY": "bench/app", "GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_JOB": "job"}


async def bench_hook(
    *, rounds: int, clock: Clock, say: Callable[[str], None], workspaces: Workspaces | None = None
) -> Result:
    """Runs `rounds` pairs of a started hook and a bare interpreter, in turn, with answers between them."""
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as place:
        root, script, env = _prepare(Path(place))
        us = RunnerProcess(slot=0, claim=None, runner=_RUNNER, pid=os.getpid(), start=start_ticks(os.getpid()))
        hooks = HookDoor(
            workspaces or NoWorkspaces(), lambda: (us,), host="bench", public_url=lambda: None, log=logger("bench")
        )
        door = QuestionDoor(lambda: {}, hooks.answer)
        await door.open(root.socket)
        try:
            bare = [sys.executable, "-I", "-S", "-c", "import socket, json"]
            ours: list[float] = []
            theirs: list[float] = []
            answers: list[float] = []
            for number in range(rounds):
                ours.append(await asyncio.to_thread(_cpu_ms, ["/bin/sh", "-e", str(script)], env))
                theirs.append(await asyncio.to_thread(_cpu_ms, bare, {}))
                for _ in range(_ANSWERS_A_ROUND):
                    answers.append(await asyncio.to_thread(_answer_ms, root.socket, clock))
                if number % 20 == 19:
                    say(f"{number + 1} of {rounds} rounds")
        finally:
            await door.close()
        if os.listdir(root.orphans):  # noqa: PTH208
            raise AndonError("A hook got no answer in time and went on by itself; nothing was measured.")
    return Result(
        bench="hook",
        conditions=f"{rounds} pairs in turn, a real door, " + ("real" if workspaces else "no") + " workspaces",
        figures=_figures(ours, theirs, answers),
    )


def _prepare(place: Path) -> tuple[Root, Path, dict[str, str]]:
    """A root, its hook's script, and a job's variables."""
    root = Root(path=place / "root")
    root.make()
    script = install_programs(root, Path(sys.executable).resolve()).job_started
    prepare_standalone(root, {0: None})
    write_plan(root, HookPlan(host="bench", slots={"0": PlannedSlot()}))
    files = {"GITHUB_ENV": str(place / "env"), "GITHUB_PATH": str(place / "path")}
    for file in files.values():
        Path(file).touch()
    return root, script, {**_JOB, **files, "RUNNER_NAME": _RUNNER, "ANDON_SLOT": "0", "PATH": "/usr/bin:/bin"}


def _figures(ours: list[float], theirs: list[float], answers: list[float]) -> tuple[Figure, ...]:
    ours_ms, bare_ms = figure("hook, CPU", ours, "ms"), figure("bare interpreter, CPU", theirs, "ms")
    # Either bound will do, so the nearer one counts.
    nearer = [min(mine / CPU_MS, mine / bare_ms.value / TIMES_BARE) for mine in ours]
    return (
        ours_ms,
        bare_ms,
        figure(f"of {CPU_MS:g} ms or {TIMES_BARE:g} x bare", nearer, "of 1", bound=1.0, at_least=False),
        figure("answer", answers, "ms"),
        Figure(
            name="answer, p99",
            value=percentile(answers, 99),
            unit="ms",
            low=min(answers),
            high=max(answers),
            bound=ANSWER_MS,
            at_least=False,
        ),
    )


def _cpu_ms(command: list[str], env: Mapping[str, str]) -> float:
    """Runs one process to its end; what it used, in user and kernel."""
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], command, dict(env), file_actions=nowhere)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise AndonError(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}; nothing was measured.")
    return (used.ru_utime + used.ru_stime) * 1000


def _answer_ms(path: Path, clock: Clock) -> float:
    """From the connection to the acknowledgement. A hook without a workspace counts as much as one with it."""
    request = json.dumps({"v": 1, "hook": "started", "pid": 1, "env": {**_JOB, "RUNNER_NAME": _RUNNER}}).encode()
    began = clock.monotonic()
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(path))
        door.sendall(request + b"\n")
        with door.makefile("rb") as answers:
            line = answers.readline()
    if not line or not json.loads(line)["ok"]:
        raise AndonError("The door refused the request; nothing was measured.")
    return (clock.monotonic() - began) * 1000
