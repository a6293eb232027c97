"""Webhook bodies for benchmarks: `workflow_job` of about 12 kB, made by the sandbox GitHub's own builders.

The size is that of a job with its steps, as GitHub sends it when the job began and when it ended.
"""

from typing import Any

import msgspec

from andon.runtime.clock import Clock
from andon.sim.sandbox.chance import Chance
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Job, Stage
from andon.sim.sandbox.repository_json import stamp
from andon.sim.sandbox.run_spec import JobSpec, RunSpec

LABELS = ("self-hosted", "linux", "x64")
JOBS_A_RUN = 20
_STEPS = 21


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """One body and the event in its header."""

    event: str
    body: bytes


class Bodies(msgspec.Struct, frozen=True, kw_only=True):
    """Told in this order nothing has to be asked of GitHub: the runs first, then what became of their jobs."""

    runs: tuple[Body, ...]
    jobs: tuple[Body, ...]


def make_bodies(repository: str, *, jobs: int, clock: Clock, chance: Chance) -> Bodies:
    """The bodies of `jobs` jobs, two each: `in_progress` and `completed`."""
    github = SandboxGitHub(clock, chance, base_url="https://api.github.com")
    github.world.make_repository(repository)
    hook = github.hooks.create(
        repository,
        target_id=1,
        url="http://receiver.invalid/",
        content_type="json",
        secret="",
        events=("workflow_run", "workflow_job"),
        active=True,
    )
    made: list[Job] = []
    for first in range(0, jobs, JOBS_A_RUN):
        names = [f"build and test (ubuntu-24.04, {number})" for number in range(first, min(first + JOBS_A_RUN, jobs))]
        told = github.create_run(
            RunSpec(repository=repository, jobs=tuple(JobSpec(name=name, labels=LABELS) for name in names))
        )
        made += [github.world.jobs[job_id] for job_id in told["jobs"]]
    runs = [delivery.payload for delivery in github.hooks.deliveries if delivery.event == "workflow_run"]
    before = len(github.hooks.deliveries)
    runner = github.runners.register(repository, name="runner-of-somebody-else", labels=LABELS, ephemeral=False)
    for job in made:
        job.runner, job.started_at = runner, clock.now()
        job.steps = [_step(number, job, None) for number in range(1, _STEPS + 1)]
        github.announcements.job(job, "in_progress", as_stage=Stage.IN_PROGRESS)
        job.completed_at, job.conclusion = clock.now(), "success"
        job.steps = [_step(number, job, "success") for number in range(1, _STEPS + 1)]
        github.announcements.job(job, "completed", as_stage=Stage.COMPLETED)
    assert hook.active
    return Bodies(
        runs=tuple(Body(event="workflow_run", body=msgspec.json.encode(payload)) for payload in runs),
        jobs=tuple(
            Body(event="workflow_job", body=msgspec.json.encode(delivery.payload))
            for delivery in github.hooks.deliveries[before:]
        ),
    )


def _step(number: int, job: Job, conclusion: str | None) -> dict[str, Any]:
    return {
        "name": f"Run cargo nextest run --locked --partition hash:{number}/{_STEPS}",
        "status": "completed" if conclusion else "in_progress",
        "conclusion": conclusion,
        "number": number,
        "started_at": stamp(job.started_at),
        "completed_at": stamp(job.completed_at),
    }
