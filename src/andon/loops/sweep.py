"""Loop "sweep": the second source of events. Lists runs that are not over and their jobs, and asks
about jobs that we believe unfinished and GitHub no longer lists.

A failed or partial read ends the work on that repository for this pass: it is never read as
"nothing is there" (R8). Stretching by quota comes with the API budget.
"""

import msgspec

from andon.github.client import Answered
from andon.github.outcomes import Failed, FailureClass
from andon.github.parsing import job_news
from andon.github.payloads import RunObject
from andon.loops.acts.learn import keep_answer
from andon.loops.fleet import Fleet
from andon.model.job_states import JobStatus
from andon.model.news import Ignored
from andon.store import jobs
from andon.store.apply_news import apply_job_news, close_jobs_of_lost_run
from andon.store.transaction import Tx

OPEN = ("queued", "in_progress", "waiting", "pending", "requested")
"""Statuses of runs that are not over."""
GONE_PASSES = 3
"""Passes in a row that have to say 404 of a run before its jobs are closed: once is no evidence."""


class Sweep:
    """One pass reads every watched repository."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._gone: dict[tuple[str, int, int], int] = {}
        """How many passes in a row GitHub said 404 of a run."""

    async def run_once(self) -> float | None:
        """Sweeps all repositories; one that fails is tried again at the next pass."""
        if self._fleet.lease() is None:
            return None
        unfinished = await self._fleet.store.read(jobs.unfinished)
        known: dict[str, set[tuple[int, int]]] = {name: set() for name in self._fleet.repositories()}
        for repository, run_id, attempt in unfinished:
            known.setdefault(repository, set()).add((run_id, attempt))
        for repository, runs in known.items():
            try:
                failure = await self._sweep_repository(repository, runs)
            except Exception as error:
                # One repository's trouble must not hide the others' news.
                self._fleet.log.exception("sweep.broke", repository=repository)
                failure = Failed(kind=FailureClass.BUG, status=None, message=f"{type(error).__name__}: {error}")
            if failure is not None:
                self._fleet.log.warning(
                    "sweep.failed", repository=repository, failure=failure.kind.value, message=failure.message
                )
                self._fleet.count("andon_sweeps_failed_total", failure=failure.kind.value)
        return None

    async def _sweep_repository(self, repository: str, believed: set[tuple[int, int]]) -> Failed | None:
        found: dict[tuple[int, int], RunObject] = {}
        for status in OPEN:
            listed = await self._fleet.github.runs(repository, status)
            if isinstance(listed, Failed):
                return listed
            found.update({(run.id, run.run_attempt): run for run in listed.runs})
        for (run_id, attempt), run in found.items():
            got = await self._fleet.github.jobs_of_run(repository, run_id, attempt)
            if isinstance(got, Failed):
                return got
            answer = msgspec.structs.replace(got, runs=(run,))
            await self._fleet.store.write(
                lambda tx, answer=answer: keep_answer(tx, self._fleet, repository, answer, None, "sweep")
            )
        for run_id, attempt in believed - found.keys():
            failure = await self._ask_about_run(repository, run_id, attempt)
            if failure is not None and failure.kind is FailureClass.GONE:
                await self._count_gone(repository, run_id, attempt)
            elif failure is not None:
                return failure
            else:
                self._gone.pop((repository, run_id, attempt), None)
        return None

    async def _count_gone(self, repository: str, run_id: int, attempt: int) -> None:
        """A run that GitHub does not know any more, while its repository answers: after several
        passes its open jobs are closed, or they would be demand for ever (T28)."""
        seen = self._gone.get((repository, run_id, attempt), 0) + 1
        self._gone[repository, run_id, attempt] = seen
        if seen < GONE_PASSES:
            return
        closed = await self._fleet.store.write(
            lambda tx: close_jobs_of_lost_run(tx, run_id, attempt, self._fleet.config)
        )
        self._gone.pop((repository, run_id, attempt), None)
        self._fleet.log.warning("run.gone", repository=repository, run=run_id, attempt=attempt, jobs_closed=closed)

    async def _ask_about_run(self, repository: str, run_id: int, attempt: int) -> Failed | None:
        """A run that we believe unfinished and that is not listed as open: over, most likely."""
        over = await self._fleet.github.run(repository, run_id, attempt)
        if isinstance(over, Failed):
            return over
        got = await self._fleet.github.jobs_of_run(repository, run_id, attempt)
        if isinstance(got, Failed):
            return got
        answer = msgspec.structs.replace(got, runs=over.runs)
        await self._fleet.store.write(lambda tx: self._close(tx, repository, answer))
        return None

    def _close(self, tx: Tx, repository: str, answer: Answered) -> None:
        keep_answer(tx, self._fleet, repository, answer, None, "sweep")
        run = answer.runs[0]
        if run.status != "completed":
            return
        for job in answer.jobs:
            # A run can be over while a job of it says queued for ever (R7, T28): the run is right.
            news = job_news(job, repository, at=answer.at, source="api:run_is_over")
            if not isinstance(news, Ignored) and news.status in (
                JobStatus.QUEUED,
                JobStatus.WAITING,
                JobStatus.PENDING,
            ):
                # Without a time of its own: the job's own word, should it ever come, still wins.
                closed = msgspec.structs.replace(
                    news, status=JobStatus.COMPLETED, conclusion=run.conclusion, completed_at=None
                )
                apply_job_news(tx, closed, self._fleet.config)
