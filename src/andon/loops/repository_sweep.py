"""Reads one repository's runs and jobs, and makes the same news of them as webhooks would.

Each pass asks for the newest runs and for the jobs of the open ones, conditionally: what has not
changed costs nothing. Open runs that are not among the newest (an old run that was run again, a
burst of new ones) are found by lists filtered by status, read more rarely; who polls reads the list
of queued ones each time. Nothing is concluded from a failed or partial read (R8, law 4): a list that
failed ends the pass for this repository, and trouble with one run leaves the others' news alone.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from andon.github.client import Answered
from andon.github.outcomes import Failed, FailureClass
from andon.github.parsing import job_news
from andon.github.payloads import JobObject, RunObject
from andon.loops.acts.learn import keep_answer
from andon.loops.fleet import Fleet
from andon.model.job_states import JobStatus
from andon.model.news import Ignored
from andon.store import polling
from andon.store.apply_news import apply_job_news, close_jobs_of_lost_run
from andon.store.database import Unavailable
from andon.store.leases import Fenced
from andon.store.transaction import Tx

DEMAND = ("queued", "in_progress")
"""Statuses of runs that may have a queued job."""
LATER = ("waiting", "pending", "requested")
"""Statuses of runs that are not over and want no runner now; they come back as one of the others."""
ALWAYS = ("queued",)
"""The lists that a pass reads where nothing else tells of an old run that is run again (R97)."""
NEWEST = 30
"""How many of the newest runs a pass looks at."""
EVERYWHERE_S = 150.0
"""How often the lists of `DEMAND` are read too: a run found only there is seen in <= 3 min (R4)."""
LATER_S = 24 * 3600.0
"""How often the lists of `LATER` are read where no run that we know of can be in them."""
QUIET_S = 150.0
"""How often the jobs of a run are read whose every open job runs on a runner of ours."""
YOUNG = timedelta(seconds=45)
"""A run younger than this whose jobs webhooks tell of is left to the next pass: by then its jobs have runners,
and one answer says what two would have said."""
SOON_S = 75.0
"""It is left only where passes are no further apart: a job of it that nobody told of is seen in <= 3 min (R4)."""
GONE_LOOKS = 3
"""Looks in a row that have to say 404 of a run before its jobs are closed: once is no evidence."""
CLOCKS_DIFFER = timedelta(minutes=5)
"""How far GitHub's clock and ours may be apart when times of both are compared."""
FOLLOWS = 0.1
"""How fast the estimate of a pass's cost follows the passes: a quota is for an hour."""
Key = tuple[int, int]
"""A run and its attempt."""


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What an open run's last answer told."""

    at: float
    """When it was asked for (monotonic)."""
    status: str | None
    """The run's own, as listed then; None: no list showed it."""
    runners: frozenset[str] | None
    """Who runs its open jobs; None: one has no runner yet, or none is open."""


def _runners_of_open(jobs: Sequence[JobObject]) -> frozenset[str] | None:
    names = [job.runner_name for job in jobs if job.status != "completed"]
    return frozenset(name for name in names if name) if names and all(names) else None


def _would_fail_too(failures: Sequence[Failed]) -> bool:
    """Whether the next question would fail as well: of the credential, of its quota, or no answer at
    all. One 5xx can be that run's own trouble, a second is GitHub's or the network's."""
    kinds = [failure.kind for failure in failures]
    return kinds.count(FailureClass.RETRY_LATER) > 1 or any(
        kind in (FailureClass.RATE_LIMITED, FailureClass.UNAUTHORISED, FailureClass.FORBIDDEN) for kind in kinds
    )


class RepositorySweep:
    """One repository, with what has to be remembered from pass to pass. All of it may be forgotten."""

    def __init__(self, fleet: Fleet, repository: str, news_since: datetime) -> None:
        self.active_at: datetime | None = None
        """When one of its newest runs changed last."""
        self.mean_cost = 0.0
        """About how many calls that count one pass takes."""
        self.repository = repository
        self._fleet = fleet
        self._cost = 0
        self._news_since = news_since
        """Runs that ended before this are history and are not read."""
        self._always = ALWAYS if fleet.config.github.ingest == "poll" else ()
        self._everywhere_at: float | None = None
        """When the lists by status were read to the end last."""
        self._started: float | None = None
        """When the pass before began."""
        self._later_at: float | None = None
        """When the lists of runs that wait were read last."""
        self._newest_id: int | None = None
        self._older: datetime | None = None
        """Runs made up to then are looked for by status."""
        self._kept: dict[Key, _Kept] = {}
        """Of open runs: the last answer that was written down."""
        self._gone: dict[Key, int] = {}
        """How many looks in a row GitHub said 404 of a run."""

    async def read(self, believed: set[Key], busy: frozenset[str], *, everywhere: bool = False) -> Failed | None:
        """One pass; `believed` are the runs of jobs that we think unfinished, `busy` our runners with a job."""
        self._cost = 0
        try:
            return await self._read(believed, busy, everywhere=everywhere)
        finally:
            self.mean_cost += (self._cost - self.mean_cost) * FOLLOWS

    async def _read(self, believed: set[Key], busy: frozenset[str], *, everywhere: bool) -> Failed | None:
        newest = self._counted(await self._fleet.github.newest_runs(self.repository, NEWEST))
        if isinstance(newest, Failed):
            return newest
        self.active_at = max((run.updated_at for run in newest.runs if run.updated_at), default=None)
        shown = {(run.id, run.run_attempt): run for run in newest.runs}
        found = {key: run for key, run in shown.items() if run.status != "completed"}
        started = self._fleet.clock.monotonic()
        asked, everywhere = everywhere, everywhere or self._look_everywhere(newest.runs, started)
        if not newest.whole:
            older = self._older_than(newest)
            failed = await self._add_listed(found, DEMAND if everywhere else self._always, older)
            if failed is None and everywhere and self._may_wait(asked, started, believed - found.keys() - shown.keys()):
                failed = await self._add_listed(found, LATER, older)
                self._later_at = started
            if failed is not None:
                return failed
        young = self._young(found, believed, newest.at or self._fleet.clock.now(), started) if not asked else set[Key]()
        loud = {
            key: run
            for key, run in found.items()
            if key not in young and (everywhere or not self._is_quiet(key, run.status, busy))
        }
        ended = {key: run for key, run in shown.items() if key not in found}
        unlisted = {
            key for key in believed - found.keys() - shown.keys() if everywhere or not self._is_quiet(key, None, busy)
        }
        failures: list[Failed] = []
        await self._each(loud, failures, lambda key: self._ask_for_jobs(key, found[key]))
        over = await self._ended_to_read(ended, believed)
        await self._each(over, failures, lambda key: self._read_ended(key, ended[key]))
        await self._each(unlisted, failures, lambda key: self._read_unlisted(key, everywhere=everywhere))
        if failures:
            return failures[0]
        if everywhere:
            self._everywhere_at = started
        self._newest_id = max((run.id for run in newest.runs), default=self._newest_id)
        self._kept = {key: kept for key, kept in self._kept.items() if key in found or key in believed}
        self._gone = {key: looks for key, looks in self._gone.items() if key in believed}
        return None

    def _young(self, found: dict[Key, RunObject], believed: set[Key], at: datetime, started: float) -> set[Key]:
        """Runs that began just now, and are not read yet."""
        before, self._started = self._started, started
        if self._always or before is None or started - before > SOON_S:
            return set()
        begun = {key: run.run_started_at or run.created_at for key, run in found.items() if key in believed}
        return {key for key, since in begun.items() if since and at - since < YOUNG and key not in self._kept}

    async def _add_listed(
        self, found: dict[Key, RunObject], statuses: Sequence[str], older: str | None
    ) -> Failed | None:
        for status in statuses:
            listed = self._counted(await self._fleet.github.runs(self.repository, status, created=older))
            if isinstance(listed, Failed):
                return listed
            found.update({(run.id, run.run_attempt): run for run in listed.runs})
        return None

    def _may_wait(self, asked: bool, now: float, unlisted: set[Key]) -> bool:
        """Whether the lists of runs that wait are worth reading: somebody asked, a run of ours may be there,
        or it is time."""
        return asked or bool(unlisted) or self._later_at is None or now - self._later_at >= LATER_S

    def _older_than(self, newest: Answered) -> str | None:
        """Which runs the lists by status have to show: those that may be older than the newest ones.

        The same for as long as that is true: such a list seldom changes, and then it costs nothing.
        """
        made = [run.created_at for run in newest.runs if run.created_at is not None]
        if len(made) < len(newest.runs) or not made:
            return None
        if self._older is None or self._older < min(made):
            self._older = max(made)
        return f"<={self._older.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def _look_everywhere(self, newest: tuple[RunObject, ...], now: float) -> bool:
        if self._everywhere_at is None or self._newest_id is None or now - self._everywhere_at >= EVERYWHERE_S:
            return True
        # None of the last pass is among them any more: others may have gone past unseen.
        return len(newest) == NEWEST and min(run.id for run in newest) > self._newest_id

    def _is_quiet(self, key: Key, status: str | None, busy: frozenset[str]) -> bool:
        """Whether nothing new can be in a run: all its open jobs run on runners whose end we are told.

        A job that needs others appears only when one of them ends.
        """
        kept = self._kept.get(key)
        if kept is None or kept.status != status or kept.runners is None or not kept.runners <= busy:
            return False
        return self._fleet.clock.monotonic() - kept.at < QUIET_S

    async def _each(
        self, keys: Iterable[Key], failures: list[Failed], read: Callable[[Key], Awaitable[Failed | None]]
    ) -> None:
        """Reads run after run, and adds what failed: one that cannot be read hides none of the others."""
        for key in keys:
            if _would_fail_too(failures):
                return
            try:
                failure = await read(key)
            except (Unavailable, Fenced):
                # The database is away, or another process leads: nothing can be written down.
                raise
            except Exception as error:
                self._fleet.log.exception("sweep.broke", repository=self.repository, run=key[0], attempt=key[1])
                failure = Failed(kind=FailureClass.BUG, status=None, message=f"{type(error).__name__}: {error}")
            if failure is not None:
                failures.append(msgspec.structs.replace(failure, message=f"run {key[0]}: {failure.message}"))

    async def _ended_to_read(self, ended: dict[Key, RunObject], believed: set[Key]) -> set[Key]:
        """Runs that are over: those with jobs that we think unfinished, and those we never heard of."""
        recent = {key for key, run in ended.items() if run.updated_at and run.updated_at >= self._news_since}
        known = await self._fleet.store.read(lambda connection: polling.known_as_over(connection, recent))
        return (recent - known) | (ended.keys() & believed)

    async def _read_ended(self, key: Key, run: RunObject) -> Failed | None:
        got = self._counted(await self._fleet.github.jobs_of_run(self.repository, *key))
        if isinstance(got, Failed):
            return got
        answer = msgspec.structs.replace(got, runs=(run,))
        await self._fleet.write(lambda tx: self._close(tx, answer))
        return None

    async def _read_unlisted(self, key: Key, *, everywhere: bool) -> Failed | None:
        """A run that we believe unfinished and no list shows: an old one, or over, or gone."""
        failure = await (self._ask_about_run(key) if everywhere else self._ask_for_jobs(key, None))
        if failure is None:
            self._gone.pop(key, None)
        elif failure.kind is FailureClass.GONE:
            if everywhere:
                await self._count_gone(key)
            return None
        return failure

    async def _ask_for_jobs(self, key: Key, run: RunObject | None) -> Failed | None:
        got = self._counted(await self._fleet.github.jobs_of_run(self.repository, *key))
        if isinstance(got, Failed):
            return got
        await self._keep(key, got, run)
        return None

    async def _ask_about_run(self, key: Key) -> Failed | None:
        over = self._counted(await self._fleet.github.run(self.repository, *key))
        if isinstance(over, Failed):
            return over
        got = self._counted(await self._fleet.github.jobs_of_run(self.repository, *key))
        if isinstance(got, Failed):
            return got
        answer = msgspec.structs.replace(got, runs=over.runs)
        await self._fleet.write(lambda tx: self._close(tx, answer))
        return None

    async def _keep(self, key: Key, got: Answered, run: RunObject | None) -> None:
        """Writes an answer down, unless the same one was written by us already."""
        status = run.status if run is not None else None
        before = self._kept.get(key)
        now = self._fleet.clock.monotonic()
        if got.not_modified and before is not None and before.status == status:
            self._kept[key] = msgspec.structs.replace(before, at=now)
            return
        answer = got if run is None else msgspec.structs.replace(got, runs=(run,))
        # Forgotten until it is written: GitHub calls the same answer "not modified" from now on.
        self._kept.pop(key, None)
        await self._fleet.write(lambda tx: keep_answer(tx, self._fleet, self.repository, answer, None, "sweep"))
        self._kept[key] = _Kept(at=now, status=status, runners=_runners_of_open(got.jobs))

    def _close(self, tx: Tx, answer: Answered) -> None:
        keep_answer(tx, self._fleet, self.repository, answer, None, "sweep")
        run = answer.runs[0]
        if run.status != "completed":
            return
        for job in answer.jobs:
            # A run can be over while a job of it says queued for ever (R7, T28): the run is right.
            news = job_news(job, self.repository, at=answer.at, source="api:run_is_over")
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

    async def _count_gone(self, key: Key) -> None:
        """A run that GitHub does not know any more, while its repository answers: after several
        looks its open jobs are closed, or they would be demand for ever (T28)."""
        seen = self._gone.get(key, 0) + 1
        self._gone[key] = seen
        if seen < GONE_LOOKS:
            return
        closed = await self._fleet.write(lambda tx: close_jobs_of_lost_run(tx, *key, self._fleet.config))
        self._gone.pop(key, None)
        self._fleet.log.warning("run.gone", repository=self.repository, run=key[0], attempt=key[1], jobs_closed=closed)

    def _counted(self, got: Answered | Failed) -> Answered | Failed:
        self._cost += not got.local if isinstance(got, Failed) else not got.not_modified
        return got
