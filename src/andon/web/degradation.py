"""What works less than it should: gathers the facts for `rules.degraded`, also while the database is away.

What the database said last is kept in memory, so that board, status and metrics can tell the rest of it
when it is gone.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from andon.model.budget import BudgetView
from andon.model.config import Config
from andon.model.degraded import Degraded
from andon.model.host_states import HostObserved
from andon.model.incident_kinds import IncidentCode
from andon.model.incident_states import IncidentState
from andon.rules.degraded import DatabaseFact, Facts, SilentHost, conditions
from andon.rules.liveness_fleet import ApiFact, HostFact
from andon.runtime.clock import Clock
from andon.store import budgets, claims, hosts, incidents
from andon.store.database import Unavailable
from andon.store.intake import Intake
from andon.store.transaction import Store

T = TypeVar("T")
PATIENCE_S = 3.0
"""How long somebody who looks waits for the database, before the answer is made without it."""
LONG_PATIENCE_S = 12.0
"""And where there is no answer without it: a large list on a busy machine takes its time."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What the database says of degraded conditions."""

    budgets: tuple[BudgetView, ...] = ()
    hosts: int = 0
    silent: tuple[SilentHost, ...] = ()
    github_down_since: datetime | None = None


def read_stored(connection: Connection) -> Stored:
    """Reads it from one snapshot."""
    _, live = claims.live_counts(connection)
    known = [
        HostFact(
            name=host.name,
            observed=host.observed,
            intent=host.intent,
            last_seen=host.last_seen,
            works=bool(live.get(host.name)),
        )
        for host in hosts.all_hosts(connection)
    ]
    counting = [host for host in known if host.counts]
    down = [
        each.opened_at
        for each in incidents.live(connection)
        if each.code is IncidentCode.GITHUB_DOWN and each.state is IncidentState.OPEN
    ]
    return Stored(
        budgets=tuple(budgets.degraded(connection)),
        hosts=len(counting),
        silent=tuple(
            SilentHost(name=host.name, last_seen=host.last_seen, live=live.get(host.name, 0))
            for host in counting
            if host.observed is HostObserved.SILENT
        ),
        github_down_since=min(down, default=None),
    )


class Degradation:
    """The present conditions of one control plane process."""

    def __init__(
        self,
        *,
        config: Config,
        store: Store,
        intake: Intake,
        clock: Clock,
        github: Callable[[], ApiFact],
        sweep_s: Callable[[], Mapping[str, float]],
    ) -> None:
        self._config, self._store, self._intake, self._clock = config, store, intake, clock
        self._github, self._sweep_s = github, sweep_s
        self._stored = Stored()
        self._budgets_since: dict[tuple[str, str], datetime] = {}
        self._spooled_since: datetime | None = None
        self._under_way: set[asyncio.Task[object]] = set()
        """Reads, some of which nobody waits for any more."""

    async def read_in_time(self, work: Callable[[Connection], T], patience_s: float = LONG_PATIENCE_S) -> T:
        """`store.read`, whose wait has an end: raises Unavailable after `patience_s` too."""
        if self._store.stands_still:
            raise Unavailable("The database does not answer.")
        reading = asyncio.create_task(self._store.read(work), name="read for somebody who looks")
        self._under_way.add(reading)
        reading.add_done_callback(self._ended)
        # Never cancelled, also when who asked has gone: the store then knows that it got no answer.
        await asyncio.wait({reading}, timeout=patience_s)
        if reading.done():
            return reading.result()
        raise Unavailable(f"The database did not answer within {patience_s:g} s.")

    def _ended(self, reading: "asyncio.Task[object]") -> None:
        self._under_way.discard(reading)
        if not reading.cancelled():
            reading.exception()

    def heard(self, stored: Stored) -> None:
        """What a read of the database brought."""
        now = self._clock.now()
        held = {(each.account, each.resource) for each in stored.budgets}
        self._budgets_since = {key: self._budgets_since.get(key, now) for key in sorted(held)}
        self._stored = stored

    async def look(self) -> tuple[Degraded, ...]:
        """Every condition that holds; asks the database, and does without it."""
        try:
            self.heard(await self.read_in_time(read_stored, PATIENCE_S))
        except Unavailable:
            pass
        return self.known()

    def known(self) -> tuple[Degraded, ...]:
        """Every condition that holds by what is known here without asking anybody."""
        now, away = self._clock.now(), self._store.away()
        self._spooled_since = (self._spooled_since or now) if self._intake.spooling else None
        return conditions(
            Facts(
                now=now,
                database=DatabaseFact(away_since=away.since, said=away.said) if away else DatabaseFact(),
                spooled_since=self._spooled_since,
                api=self._github(),
                github_down_since=self._stored.github_down_since,
                budgets=self._stored.budgets,
                budgets_since=self._budgets_since,
                hosts=self._stored.hosts,
                silent=self._stored.silent,
                sweep_s=self._sweep_s(),
                wanted_sweep_s=wanted_sweep_s(self._config),
                webhooks=self._config.github.ingest == "webhook",
            )
        )


def wanted_sweep_s(config: Config) -> float:
    """The configured period of the sweep."""
    polls = config.github.ingest == "poll"
    return float(config.github.poll_seconds if polls else config.github.sweep_seconds)
