"""A sandbox on virtual time, and listeners that speak to it without HTTP."""

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from andon.sim.sandbox.delivery_records import Outgoing
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Job, Runner, Session
from andon.sim.sandbox.run_spec import JobSpec, RunSpec
from andon.sim.sandbox.timings import Timings
from andon.sim.virtual_time import VirtualClock

LABELS = ("self-hosted", "Linux", "rust")


class Listener:
    """A runner's listener: polls, takes jobs, ends them."""

    def __init__(self, github: SandboxGitHub, runner: Runner) -> None:
        self.github = github
        self.runner = runner
        self.session: Session = github.runners.open_session(runner, version="2.336.0", os="linux")

    def poll(self) -> dict[str, Any] | None:
        self.github.tick()
        self.github.runners.begin_poll(self.session)
        try:
            return self.github.execution.next_message(self.session)
        finally:
            self.github.runners.end_poll(self.session)

    def take(self) -> Job:
        message = self.poll()
        assert message is not None and message["kind"] == "job", message
        return self.github.execution.acquire(self.runner, self.session.id, message["job"]["id"])

    def finish(self, job: Job, conclusion: str = "success") -> None:
        self.github.execution.complete(self.runner, job.id, conclusion, [])


class Fleet:
    """A sandbox with its clock, and short ways to fill it."""

    def __init__(self, *, seed: int = 1, shuffle: bool = True, timings: Timings | None = None) -> None:
        self.clock = VirtualClock()
        self.github = SandboxGitHub(self.clock, random.Random(seed), shuffle=shuffle, timings=timings)
        self.world = self.github.world
        self.world.make_repository("acme/app")
        self.names = 0

    def run(self, *jobs: JobSpec, repository: str = "acme/app", **more: Any) -> list[Job]:
        made = self.github.create_run(RunSpec(repository=repository, jobs=jobs or (job("test"),), **more))
        return [self.world.jobs[job_id] for job_id in made["jobs"]]

    def runner(self, *, scope: str = "acme/app", labels: Iterable[str] = LABELS, ephemeral: bool = True) -> Runner:
        self.names += 1
        return self.github.runners.register(scope, name=f"r{self.names}", labels=tuple(labels), ephemeral=ephemeral)

    def listener(self, **more: Any) -> Listener:
        return Listener(self.github, self.runner(**more))

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.github.tick()

    def hook(self, *events: str, scope: str = "acme/app", secret: str = "s3cret") -> Any:
        return self.github.hooks.create(
            scope,
            target_id=7,
            url=f"http://receiver.invalid/{self.names}",
            content_type="json",
            secret=secret,
            events=events or ("workflow_job",),
            active=True,
        )

    def sent(self, code: int = 202) -> list[Outgoing]:
        """Posts everything that is ready, one after the other."""
        out: list[Outgoing] = []
        while ready := self.github.hooks.take(1):
            out += ready
            self.github.hooks.report(ready[0].send, code, "OK", 0.01)
        return out


def job(name: str, *, labels: tuple[str, ...] = ("self-hosted", "rust"), **more: Any) -> JobSpec:
    return JobSpec(name=name, labels=labels, **more)


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def make_fleet() -> Callable[..., Fleet]:
    return Fleet


@pytest.fixture
def make_job() -> Callable[..., JobSpec]:
    return job
