"""One round of the demo: posts its runs to the sandbox GitHub and tells what Andon makes of them."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from andon.model.api import JobView, RunView
from andon.model.job_states import JobStatus
from andon.model.why import Why
from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.runtime.http_client import HttpClient, Unreachable
from andon.sim.stage.fleet import Say

_LOOK_S = 0.25
_LOCATION_HOST = re.compile(r"https?://[^/]+")
_TELLING = re.compile(r"\b(?:AssertionError|FAILED|FAIL:|Error:)")
_STAMP = re.compile(r"^\S+Z ")


class Round:
    """The runs of one round, followed to their end through Andon's own API."""

    def __init__(self, board: HttpClient, github: HttpClient, *, say: Say, clock: Clock, check: Callable[[], None]):
        self._board = board
        self._github = github
        self._say = say
        self._clock = clock
        self._check = check
        self._wanted: dict[int, str] = {}
        self._runs: list[int] = []
        self._told: dict[int, str] = {}
        self._ended: dict[int, JobView] = {}

    async def post(self, bodies: tuple[dict[str, Any], ...]) -> None:
        """Posts the runs."""
        for body in bodies:
            answer = await self._github.request("POST", "/_sandbox/runs", body=msgspec.json.encode(body))
            if answer.status != 201:
                raise AndonError(f"The sandbox GitHub refused a run: {answer.error_text()}")
            made = msgspec.json.decode(answer.body, type=dict[str, Any])
            self._runs.append(made["run_id"])
            for job, spec in zip(made["jobs"], body["jobs"], strict=True):
                self._wanted[job] = expected_conclusion(body["event"], spec["name"])
            names = ", ".join(spec["name"] for spec in body["jobs"])
            self._say(f"run {made['run_id']}: {body['event']} on {body['branch']} ({names})")

    @property
    def over(self) -> bool:
        """Whether all jobs have ended."""
        return self._wanted.keys() <= self._ended.keys()

    @property
    def as_expected(self) -> bool:
        """Whether all jobs have ended as they were meant to."""
        return self.over and all(self._ended[job].conclusion == wanted for job, wanted in self._wanted.items())

    async def follow(self, *, patience_s: float) -> None:
        """Tells each job's start and end until all have ended.

        Raises AndonError, saying why jobs wait, when that takes longer than `patience_s`.
        """
        until = self._clock.monotonic() + patience_s
        while not self.over:
            self._check()
            for run in self._runs:
                await self._look(run)
            if not self.over and self._clock.monotonic() > until:
                raise AndonError(f"Not all jobs ended within {patience_s:g} s. {await self._why()}")
            if not self.over:
                await self._clock.sleep(_LOOK_S)

    async def _look(self, run: int) -> None:
        try:
            answer = await self._board.request("GET", f"/api/v1/runs/{run}")
        except Unreachable:
            # `check` says so when it has ended; otherwise it comes back.
            return
        if answer.status != 200:
            return
        for job in msgspec.json.decode(answer.body, type=RunView).jobs:
            if job.id in self._wanted and self._told.get(job.id) != job.status:
                self._told[job.id] = job.status
                await self._tell(job)

    async def _tell(self, job: JobView) -> None:
        where = f"{job.host}/{job.slot}" if job.host is not None else "-"
        if job.status == JobStatus.IN_PROGRESS:
            self._say(f"  {job.name:<6} of run {job.run_id}  started on {where}")
        elif job.status == JobStatus.COMPLETED:
            self._ended[job.id] = job
            took = ""
            if job.started_at is not None and job.completed_at is not None:
                took = f" after {(job.completed_at - job.started_at).total_seconds():.0f} s"
            self._say(f"  {job.name:<6} of run {job.run_id}  {job.conclusion}{took} on {where}")
            if job.conclusion == "failure":
                await self._explain(job)

    async def _explain(self, job: JobView) -> None:
        if self._wanted[job.id] == "failure":
            self._say(f"         An honest failure: branch {job.branch} has a bug, and its own test found it:")
        else:
            self._say("         That was not meant to fail. Its log says:")
        for line in await self._telling_lines(job):
            self._say(f"         | {line}")
        self._say(f"         The job's story: {self._board.base_url}/jobs/{job.id}")

    async def _telling_lines(self, job: JobView) -> list[str]:
        try:
            answer = await self._github.request("GET", f"/repos/{job.repository}/actions/jobs/{job.id}/logs")
            if answer.status == 302:
                path = _LOCATION_HOST.sub("", answer.headers["location"], count=1)
                answer = await self._github.request("GET", path)
        except Unreachable:
            return []
        lines = [_STAMP.sub("", line).strip() for line in answer.body.decode("utf-8", "replace").splitlines()]
        telling = (line[:160] for line in lines if _TELLING.search(line) and not line.startswith("##["))
        return list(dict.fromkeys(telling))[:3]

    async def _why(self) -> str:
        for job in sorted(self._wanted.keys() - self._ended.keys()):
            answer = await self._board.request("GET", f"/api/v1/jobs/{job}/why")
            if answer.status == 200:
                return f"Job {job}: {msgspec.json.decode(answer.body, type=Why).text}"
        return "Andon knows nothing of the rest."


def expected_conclusion(event: str, job: str) -> str:
    """How a job of the demo's runs is meant to end: the pull request's test finds the branch's bug."""
    return "failure" if event == "pull_request" and job == "test" else "success"
