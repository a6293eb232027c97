"""`/metrics` (interfaces.md section 7): counters kept here, gauges read from the store at each scrape.

Labels are bounded: never an id of a run, job or delivery.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from sqlalchemy import Connection

from andon import __version__
from andon.model.claim_states import ClaimState
from andon.model.config import Config
from andon.model.degraded import DegradedCode
from andon.store import budgets, disks, fleet_views, incidents, jobs

_COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "andon_deliveries_total": ("Webhook deliveries by what became of them.", ("event", "outcome", "reason")),
    "andon_claims_total": ("Claims that were made, came into doubt, or ended, by outcome.", ("outcome",)),
    "andon_rescues_total": ("Claims given back after GitHub was asked, by what it said of the job.", ("kind",)),
    "andon_github_calls_total": ("Calls to GitHub's API.", ("endpoint", "status")),
    "andon_automatic_acts_total": ("Automatic acts, by rail and by whether they acted.", ("rail", "mode")),
    "andon_rail_capped_total": ("Times that a rail of automatic acts reached its cap, once an event.", ("rail",)),
    "andon_guard_deletions_total": ("Paths that were deleted on hosts, as their agents told.", ("class",)),
    "andon_sweeps_failed_total": ("Sweeps of a repository that a failed read ended.", ("failure",)),
}
_GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "andon_jobs": ("Jobs that are not over.", ("status", "pool")),
    "andon_oldest_dispatchable_seconds": ("Age of the oldest queued job without a claim.", ("pool",)),
    "andon_slots": ("Slots by what they do.", ("pool", "state")),
    "andon_pool_wanted_slots": ("Slots that running and waiting work would fill.", ("pool",)),
    "andon_incidents": ("Incidents that are not closed.", ("code", "severity")),
    "andon_hosts": ("Hosts by our intent and by what we see of them.", ("intent", "observed")),
    "andon_oldest_unbooted_seconds": ("Age of the oldest claim whose runner has not come up.", ()),
    "andon_build_info": ("The version that runs.", ("version",)),
    "andon_github_budget_remaining": (
        "Calls left at GitHub, for all who use the credential.",
        ("installation",),
    ),
    "andon_disk_free_bytes": ("What may still be written, as hosts reported it last.", ("host", "mount")),
    "andon_degraded": ("1 while a degraded condition holds (docs/degraded.md).", ("condition",)),
    "andon_sweep_period_seconds": ("Seconds between two sweeps of an owner's repositories, at present.", ("owner",)),
    "andon_loop_last_success_timestamp_seconds": ("When a loop last ended a pass well.", ("loop",)),
}

_OUTCOMES: Mapping[str, str] = MappingProxyType(
    {f"claim.{state.value}": state.value for state in (ClaimState.ORPHANED, ClaimState.SETTLED, ClaimState.RELEASED)}
)
"""By kind of journal line; `reserved` is counted where it is decided."""
_READ_WHOLE = (
    "andon_jobs",
    "andon_oldest_dispatchable_seconds",
    "andon_slots",
    "andon_pool_wanted_slots",
    "andon_hosts",
    "andon_incidents",
    "andon_disk_free_bytes",
    "andon_github_budget_remaining",
)


class Facts:
    """What the gauges show, read in one go."""

    def __init__(self, connection: Connection, config: Config, now: datetime) -> None:
        self.jobs = fleet_views.open_job_counts(connection)
        self.hosts = fleet_views.host_counts(connection)
        self.incidents = incidents.counts(connection)
        self.oldest = jobs.oldest_queued_at(connection)
        self.unbooted = fleet_views.oldest_unbooted(connection)
        self.pools = fleet_views.pool_views(connection, config, now)
        self.budgets = budgets.all_budgets(connection)
        self.disks = disks.all_disks(connection)
        self.slots: dict[tuple[str, str], int] = {}
        for host in fleet_views.host_views(connection, now):
            for slot in host.slots:
                key = (slot.pool, slot.state)
                self.slots[key] = self.slots.get(key, 0) + 1


class Metrics:
    """The process's metrics."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters = {
            name: Counter(name, text, labels, registry=self._registry) for name, (text, labels) in _COUNTERS.items()
        }
        self._gauges = {
            name: Gauge(name, text, labels, registry=self._registry) for name, (text, labels) in _GAUGES.items()
        }
        self._successes: dict[str, Gauge] = {}
        """By loop: to look a gauge up costs more than to set it, and this is done after every pass."""
        self._gauges["andon_build_info"].labels(version=__version__).set(1)

    def count(self, name: str, /, **labels: str) -> None:
        """Adds one to a counter."""
        self._counters[name].labels(**labels).inc()

    def journalled(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Counts what became of claims, from the journal lines of a transaction that is durable."""
        for line in lines:
            if (outcome := _OUTCOMES.get(line["kind"])) is not None:
                self.count("andon_claims_total", outcome=outcome)

    def show(self, name: str, value: float, /, **labels: str) -> None:
        """Sets a gauge that its owner keeps up to date."""
        self._gauges[name].labels(**labels).set(value)

    def loop_succeeded(self, loop: str, at: datetime) -> None:
        """Remembers a loop's last good pass."""
        if (gauge := self._successes.get(loop)) is None:
            gauge = self._gauges["andon_loop_last_success_timestamp_seconds"].labels(loop=loop)
            self._successes[loop] = gauge
        gauge.set(at.timestamp())

    def render(self, facts: Facts | None, now: datetime, degraded: Collection[DegradedCode] = ()) -> bytes:
        """The text that a scrape gets; without `facts` (the database is away) what they say is left out."""
        for name in _READ_WHOLE:
            # What is no longer there must not keep its last value.
            self._gauges[name].clear()
        for code in DegradedCode:
            self._gauges["andon_degraded"].labels(condition=code.value).set(code in degraded)
        if facts is not None:
            self._show_facts(facts, now)
        return generate_latest(self._registry)

    def _show_facts(self, facts: Facts, now: datetime) -> None:
        remaining = self._gauges["andon_github_budget_remaining"]
        for budget in facts.budgets:
            if budget.remaining is not None:
                name = budget.account if budget.resource == "core" else f"{budget.account} {budget.resource}"
                remaining.labels(installation=name).set(budget.remaining)
        for disk in facts.disks:
            self._gauges["andon_disk_free_bytes"].labels(host=disk.host, mount=disk.mount).set(disk.free)
        for (status, pool), count in facts.jobs.items():
            self._gauges["andon_jobs"].labels(status=status, pool=pool).set(count)
        for (intent, observed), count in facts.hosts.items():
            self._gauges["andon_hosts"].labels(intent=intent, observed=observed).set(count)
        for (code, severity), count in facts.incidents.items():
            self._gauges["andon_incidents"].labels(code=code, severity=severity).set(count)
        for (pool, state), count in facts.slots.items():
            self._gauges["andon_slots"].labels(pool=pool, state=state).set(count)
        for pool in facts.pools:
            oldest = facts.oldest.get(pool.name)
            age = (now - oldest).total_seconds() if oldest else 0.0
            self._gauges["andon_oldest_dispatchable_seconds"].labels(pool=pool.name).set(max(0.0, age))
            self._gauges["andon_pool_wanted_slots"].labels(pool=pool.name).set(
                pool.waiting + pool.starting + pool.running
            )
        unbooted = (now - facts.unbooted).total_seconds() if facts.unbooted else 0.0
        self._gauges["andon_oldest_unbooted_seconds"].set(max(0.0, unbooted))
