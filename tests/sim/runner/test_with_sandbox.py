"""The stand-in runner against the sandbox GitHub, on the demo's runs: real HTTP, git and make."""

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

import msgspec

from andon.runtime.clock import SystemClock
from andon.sim.demo.repository import make_repository
from andon.sim.demo.runs import LABELS, demo_runs
from andon.sim.runner.jit_config import VARIABLE
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.jit_config import encoded_config
from andon.sim.sandbox.run_spec import RunSpec
from andon.sim.sandbox.server import serving


async def run_all(folder: Path, bodies: tuple[dict[str, Any], ...]) -> tuple[SandboxGitHub, list[int]]:
    sandbox = SandboxGitHub(SystemClock(), random.Random(1))
    exits: list[int] = []
    async with serving(sandbox) as url:
        job_count = sum(len(body["jobs"]) for body in bodies)
        for body in bodies:
            sandbox.create_run(msgspec.convert(body, RunSpec))

        async def one(number: int) -> None:
            place = folder / f"slot-{number}"
            place.mkdir()
            runner = sandbox.runners.register("acme/app", name=f"r{number}", labels=LABELS, ephemeral=True)
            env = {"PATH": os.environ["PATH"], "HOME": str(folder), VARIABLE: encoded_config(runner, url)}
            with (place / "output.txt").open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "andon.sim.runner", cwd=place, env=env, stdout=output, stderr=output
                )
                try:
                    exits.append(await process.wait())
                finally:
                    if process.returncode is None:
                        process.kill()
                        await process.wait()

        async with asyncio.timeout(60):
            await asyncio.gather(*(one(number) for number in range(job_count)))
    return sandbox, exits


def test_the_demos_runs_end_to_end(tmp_path: Path) -> None:
    bodies = demo_runs(make_repository(tmp_path / "repository"))
    sandbox, exits = asyncio.run(run_all(tmp_path, bodies))
    assert exits == [0] * 6
    jobs = sorted(sandbox.world.jobs.values(), key=lambda job: job.id)
    assert [(job.name, job.conclusion) for job in jobs] == [
        ("build", "success"),
        ("lint", "success"),
        ("test", "success"),
        ("build", "success"),
        ("lint", "success"),
        ("test", "failure"),
    ]
    assert len({job.runner.name for job in jobs if job.runner}) == 6
    log = (jobs[-1].log or b"").decode("utf-8-sig")
    assert "FAIL: test_shares_add_up_to_a_hundred" in log
    assert "##[error]Process completed with exit code 2." in log
