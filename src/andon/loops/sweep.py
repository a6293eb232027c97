"""Loop "sweep": the second source of events, and the only one with `ingest = "poll"` (R4, R97).

Says which repositories are read when; `repository_sweep` reads one. The period is the configured
one, stretched as the owner's quota falls (rules.sweep_pace).
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from andon.github.outcomes import Failed, FailureClass
from andon.github.scope import owner_of
from andon.loops.fleet import Fleet
from andon.loops.repository_sweep import CLOCKS_DIFFER, Key, RepositorySweep
from andon.loops.watched import Watched
from andon.rules.sweep_pace import Quota, period_s
from andon.store import jobs, polling
from andon.store.leases import Fenced

AT_ONCE = 8
"""Repositories that are read together; GitHub allows 100 requests at once (contract section 5)."""
OFTEN = 50
"""Of each owner so many repositories are read every period, the most recently active ones (R4)."""
ROTATION_S = 600.0
"""How often the others are read at the latest."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Sweep:
    """One pass reads the repositories that are due."""

    def __init__(self, fleet: Fleet, show_period: Callable[[str, float], None] = lambda owner, seconds: None) -> None:
        self._fleet = fleet
        self._show_period = show_period
        self._watched = Watched(fleet)
        self._repositories: dict[str, RepositorySweep] = {}
        self._due: dict[str, float] = {}

    @property
    def wanted_s(self) -> float:
        """The configured period."""
        github = self._fleet.config.github
        return github.poll_seconds if github.ingest == "poll" else github.sweep_seconds

    async def run_once(self) -> float | None:
        """Reads what is due; gives the seconds until something is due again.

        Raises Fenced when another process has taken the lead meanwhile.
        """
        return await self._pass(everywhere=False)

    async def read_everything(self) -> None:
        """Reads every repository now, the lists by status too."""
        await self._pass(everywhere=True)

    async def _pass(self, *, everywhere: bool) -> float | None:
        if self._fleet.lease() is None:
            # Whoever leads next begins anew; what was remembered here would be old by then.
            self._repositories, self._due = {}, {}
            return None
        believed: dict[str, set[Key]] = {name: set() for name in await self._watched.names()}
        for repository, run_id, attempt in await self._fleet.store.read(jobs.unfinished):
            believed.setdefault(repository, set()).add((run_id, attempt))
        await self._meet(believed)
        started = self._fleet.clock.monotonic()
        due = [name for name in believed if everywhere or self._due.get(name, started) <= started]
        busy = await self._fleet.store.read(polling.busy_runners) if due else frozenset[str]()
        turns = asyncio.Semaphore(AT_ONCE)
        fenced: list[Fenced] = []

        async def read(name: str) -> None:
            async with turns:
                if fenced:
                    return
                try:
                    await self._read(name, believed[name], busy, everywhere=everywhere)
                except Fenced as error:
                    fenced.append(error)

        await asyncio.gather(*(read(name) for name in due))
        if fenced:
            # Another process leads since: nothing of ours broke, and nothing was read for sure.
            raise fenced[0]
        self._plan(due, started)
        return max(0.0, min(self._due.values()) - self._fleet.clock.monotonic()) if self._due else None

    async def _meet(self, names: Iterable[str]) -> None:
        """Remembers repositories that are new here, and forgets those that are watched no more."""
        known = set(names)
        self._repositories = {name: each for name, each in self._repositories.items() if name in known}
        self._due = {name: at for name, at in self._due.items() if name in known}
        if new := known - self._repositories.keys():
            news = await self._fleet.store.read(polling.last_news)
            for name in new:
                since = news.get(name, self._fleet.clock.now()) - CLOCKS_DIFFER
                self._repositories[name] = RepositorySweep(self._fleet, name, since)

    async def _read(self, repository: str, believed: set[Key], busy: frozenset[str], *, everywhere: bool) -> None:
        try:
            failure = await self._repositories[repository].read(believed, busy, everywhere=everywhere)
        except Fenced:
            raise
        except Exception as error:
            # One repository's trouble must not hide the others' news.
            self._fleet.log.exception("sweep.broke", repository=repository)
            failure = Failed(kind=FailureClass.BUG, status=None, message=f"{type(error).__name__}: {error}")
        if failure is not None:
            self._fleet.log.warning(
                "sweep.failed", repository=repository, failure=failure.kind.value, message=failure.message
            )
            self._fleet.count("andon_sweeps_failed_total", failure=failure.kind.value)

    def _plan(self, read: list[str], started: float) -> None:
        """Says when each repository that was read is due again."""
        by_owner: dict[str, list[RepositorySweep]] = {}
        for each in self._repositories.values():
            by_owner.setdefault(owner_of(each.repository), []).append(each)
        quotas = self._quotas()
        now = self._fleet.clock.now()
        for owner, theirs in by_owner.items():
            theirs.sort(key=lambda each: each.active_at or _NEVER, reverse=True)
            often = {each.repository for each in theirs[:OFTEN]}
            cost = sum(each.mean_cost for each in theirs[:OFTEN])
            seconds = period_s(self.wanted_s, cost, quotas.get(owner.lower()), now)
            self._show_period(owner, seconds)
            for each in theirs:
                if each.repository in read:
                    pause = seconds if each.repository in often else max(seconds, ROTATION_S)
                    self._due[each.repository] = started + pause

    def _quotas(self) -> dict[str, Quota]:
        found: dict[str, Quota] = {}
        for budget in self._fleet.github.budgets():
            if budget.resource == "core":
                left = max(0, (budget.remaining or 0) - budget.reserve)
                quota = Quota(limit=budget.limit, left=left, resets_at=budget.resets_at)
                found.update({owner.lower(): quota for owner in budget.owners})
        return found
