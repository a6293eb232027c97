"""The failure modes that need the stand-in runner's help, played by real processes against a real sandbox."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from andon.runtime.clock import SystemClock
from andon.sim.runner.jit_config import VARIABLE
from andon.sim.runner.processes import descendants, end
from andon.sim.sandbox.faults import FaultSpec
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.jit_config import encoded_config
from andon.sim.sandbox.records import Job, Runner, Stage
from andon.sim.sandbox.run_spec import JobSpec, RunSpec, StepSpec
from andon.sim.sandbox.server import serving

PATIENCE_S = 40


class Ground:
    """A sandbox that serves, and listeners in folders of their own."""

    def __init__(self, sandbox: SandboxGitHub, url: str, folder: Path) -> None:
        self.sandbox = sandbox
        self._url = url
        self._folder = folder
        self._count = 0

    def strike(self, kind: str, **more: Any) -> None:
        self.sandbox.faults.add(FaultSpec(kind=kind, count=1, **more))

    def run(self, script: str) -> Job:
        job = JobSpec(name="test", steps=(StepSpec(run=script),))
        made = self.sandbox.create_run(RunSpec(repository="acme/app", jobs=(job,)))
        return self.sandbox.world.jobs[made["jobs"][0]]

    @asynccontextmanager
    async def listener(self) -> AsyncGenerator[tuple[asyncio.subprocess.Process, Runner, Path]]:
        self._count += 1
        name = f"r{self._count}"
        place = self._folder / name
        place.mkdir()
        runner = self.sandbox.runners.register("acme/app", name=name, labels=("self-hosted",))
        env = {"PATH": os.environ["PATH"], "HOME": str(place), VARIABLE: encoded_config(runner, self._url)}
        output = place / "output.txt"
        with output.open("wb") as told:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "andon.sim.runner", cwd=place, env=env, stdout=told, stderr=told
            )
        try:
            yield process, runner, output
        finally:
            if process.returncode is None:
                for pid in (*descendants(process.pid), process.pid):
                    end(pid)
                await process.wait()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Looks again whenever the sandbox was asked something, which nudges `changed` or a session."""
        while not condition():
            seen = self.sandbox.changed.version
            waiting = asyncio.ensure_future(self.sandbox.changed.wait_beyond(seen))
            await asyncio.wait({waiting}, timeout=0.05)
            waiting.cancel()


def through(story: Callable[[Ground], Awaitable[None]], folder: Path) -> None:
    async def tell() -> None:
        sandbox = SandboxGitHub(SystemClock(), random.Random(1))
        sandbox.world.make_repository("acme/app")
        async with asyncio.timeout(PATIENCE_S), serving(sandbox) as url:
            await story(Ground(sandbox, url, folder))

    asyncio.run(tell())


def test_3_a_listener_whose_runner_vanished_ends_well(tmp_path: Path) -> None:
    async def story(stage: Ground) -> None:
        stage.strike("runner_vanishes", seconds=0.2)
        async with stage.listener() as (process, runner, output):
            assert await process.wait() == 0
            assert runner.removed_reason == "vanished while idle"
            assert output.read_text().rstrip().endswith("Listening for Jobs")

    through(story, tmp_path)


def test_4_a_listener_that_lost_its_assignment_lives_on_and_says_that_it_listens(tmp_path: Path) -> None:
    async def story(stage: Ground) -> None:
        stage.strike("assignment_lost")
        job = stage.run("true")
        async with stage.listener() as (dead, runner, output):
            await stage.until(lambda: runner.removed_at and output.read_text().count("Listening for Jobs") == 2)
            assert job.stage is Stage.QUEUED
            async with stage.listener() as (alive, _, _):
                assert await alive.wait() == 0
            assert job.conclusion == "success" and dead.returncode is None
            assert [one.name for one in stage.sandbox.runners.list("acme/app")] == []

    through(story, tmp_path)


def test_5_a_worker_that_hangs_is_ended_and_the_listener_exits_0(tmp_path: Path) -> None:
    async def story(stage: Ground) -> None:
        stage.strike("worker_hangs", seconds=0.3)
        job = stage.run("touch ran")
        async with stage.listener() as (process, runner, output):
            assert await process.wait() == 0
            assert "completed with result: Failed" in output.read_text()
            assert not list(output.parent.rglob("ran"))
        assert job.stage is Stage.QUEUED and runner.session is None
        async with stage.listener() as (idle, other, _):
            await stage.until(lambda: other.session is not None)
            assert other.is_idle
            stage.sandbox.runs.cancel(job.run)
            assert job.conclusion == "cancelled" and idle.returncode is None

    through(story, tmp_path)


def test_7_a_job_runs_on_after_its_lock_was_lost(tmp_path: Path) -> None:
    async def story(stage: Ground) -> None:
        stage.strike("lock_lost", seconds=0.3)
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        job = stage.run(f"read line < {gate}; echo done > {tmp_path}/done")
        async with stage.listener() as (process, runner, _):
            await stage.until(lambda: job.stage is Stage.COMPLETED)
            assert job.conclusion == "failure" and runner.removed_at is not None
            assert process.returncode is None and not (tmp_path / "done").exists()
            await asyncio.to_thread(gate.write_text, "go\n")
            assert await process.wait() == 0
            assert (tmp_path / "done").exists() and job.conclusion == "failure"

    through(story, tmp_path)


def test_a_deprecated_version_exits_7(tmp_path: Path) -> None:
    async def story(stage: Ground) -> None:
        stage.strike("runner_deprecated")
        async with stage.listener() as (process, _, output):
            assert await process.wait() == 7
            assert "is deprecated and cannot receive messages" in output.read_text()

    through(story, tmp_path)
