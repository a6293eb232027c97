"""Which degraded conditions hold, what Andon does meanwhile, and what ends each (R8, R86).

Pure: the facts are gathered by the web room, where they are shown. The sentences under "meanwhile" say
what other rooms do anyway; `docs/degraded.md` names the tests that hold them to it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from andon.model.budget import NO_TOKEN, BudgetView
from andon.model.degraded import Degraded, DegradedCode
from andon.rules.liveness_fleet import ApiFact, Reach


class DatabaseFact(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the database serves this process."""

    away_since: datetime | None = None
    """None: it answers."""
    said: str | None = None
    """Its last words; None: it stands still, and said nothing."""


class SilentHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host that should report and does not."""

    name: str
    last_seen: datetime | None
    live: int
    """Claims that stand on it."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the conditions are judged by."""

    now: datetime
    database: DatabaseFact = DatabaseFact()
    spooled_since: datetime | None = None
    """Since when deliveries wait on this machine's disk; None: none does."""
    api: ApiFact = ApiFact(answered_at=None, failing_since=None)
    """How the last calls of this process went."""
    github_down_since: datetime | None = None
    """From the incident that the leader opened; None: there is none."""
    budgets: Sequence[BudgetView] = ()
    budgets_since: Mapping[tuple[str, str], datetime] = {}
    """By account and resource, when this process first saw calls held back."""
    hosts: int = 0
    """Hosts whose silence would matter."""
    silent: Sequence[SilentHost] = ()
    sweep_s: Mapping[str, float] = {}
    """Seconds from one sweep to the next, by owner; empty where another process sweeps."""
    wanted_sweep_s: float = 60.0
    webhooks: bool = True
    """Deliveries come by themselves; else GitHub is polled."""


def conditions(at: Facts) -> tuple[Degraded, ...]:
    """Every condition that holds, the one that hides the others first."""
    made: list[Degraded] = []
    if at.database.away_since is not None:
        made.append(_database(at, at.database.away_since))
    elif at.spooled_since is not None:
        made.append(_spooled(at.spooled_since))
    if (github := _github(at)) is not None:
        made.append(github)
    made += [_budget(each, at) for each in at.budgets if each.degraded is not None and _still(each, at.now)]
    if at.silent:
        made.append(_agents(at))
    return tuple(made)


def _still(budget: BudgetView, now: datetime) -> bool:
    """What is written down stands until its end, whatever the process that wrote it does now."""
    return budget.until is None or budget.until > now


def _database(at: Facts, since: datetime) -> Degraded:
    said = f" ({at.database.said.rstrip('. ')})" if at.database.said else " and says nothing"
    kept = (
        "Webhooks are kept on this machine's disk, and acknowledged once they are safe there."
        if at.webhooks
        else "GitHub is read again when the database answers; nothing that happens meanwhile is lost."
    )
    return Degraded(
        code=DegradedCode.DATABASE_AWAY,
        subject="",
        grave=True,
        text=f"The database does not answer{said}.",
        since=since,
        meanwhile=(
            kept,
            "Nothing is claimed, started, rescued or removed.",
            "Jobs that run go on; hosts keep their reports until they are taken.",
            "What cannot be read is shown as it was read last; changes are refused.",
        ),
        ends="the database answers; what was kept is then handed over, in order and once",
    )


def _spooled(since: datetime) -> Degraded:
    return Degraded(
        code=DegradedCode.DELIVERIES_SPOOLED,
        subject="",
        grave=False,
        text="Deliveries wait on this machine's disk for the database.",
        since=since,
        meanwhile=("They are handed over now; until then their jobs are not seen here.",),
        ends="the last of them is in the database",
    )


def _github(at: Facts) -> Degraded | None:
    reach = at.api.reach(at.now)
    if reach in (Reach.FAILS, Reach.SILENT):
        since = at.api.failing_since
        said = f" ({at.api.said.rstrip('. ')})" if at.api.said else ""
        text = f"GitHub's API {'fails' if reach is Reach.FAILS else 'does not answer'}{said}."
    elif at.github_down_since is not None and reach is not Reach.ANSWERS:
        since, text = at.github_down_since, "GitHub's API fails or does not answer."
    else:
        return None
    return Degraded(
        code=DegradedCode.GITHUB_DOWN,
        subject="",
        grave=True,
        text=text,
        since=since,
        meanwhile=(
            "No runner can be registered: each try is repeated ever more slowly, and jobs wait for it.",
            "Nothing is rescued, given back or removed for want of an answer.",
            "Webhooks, hosts, jobs that run, decisions and this page go on.",
        ),
        ends="GitHub answers a call; what waits is then tried again",
    )


def _budget(budget: BudgetView, at: Facts) -> Degraded:
    nothing = budget.held or budget.resource == NO_TOKEN
    spent = budget.remaining is not None and budget.remaining <= budget.reserve
    stopped = nothing or spent
    made: list[str] = []
    if stopped:
        made.append("No call is made until this ends: no runner is registered, and jobs say that they wait for it.")
        made.append("Nothing is rescued, given back or removed for want of an answer.")
    else:
        made.append("What is urgent is sent first; the rest waits.")
    made += _stretched(budget, at)
    made.append("Webhooks, hosts, jobs that run, decisions and this page go on.")
    ends = "GitHub's window ends, and calls are sent again"
    if nothing:
        ends = "the pause ends, and GitHub accepts a call" if budget.held else "GitHub gives a token for this owner"
    return Degraded(
        code=DegradedCode.GITHUB_BUDGET,
        subject=f"{budget.account} {budget.resource}",
        grave=stopped,
        text=f"{budget.account}: {(budget.degraded or '').rstrip('. ')}.",
        since=at.budgets_since.get((budget.account, budget.resource)),
        meanwhile=tuple(made),
        ends=ends,
        until=budget.until,
    )


def _stretched(budget: BudgetView, at: Facts) -> list[str]:
    """The sweep's present period, where the quota has stretched it (R4)."""
    owners = {owner.lower() for owner in budget.owners}
    found = [seconds for owner, seconds in at.sweep_s.items() if owner.lower() in owners]
    period = max(found, default=at.wanted_sweep_s)
    if period <= at.wanted_sweep_s:
        return []
    return [f"GitHub's lists are read every {period:.0f} s instead of every {at.wanted_sweep_s:.0f} s."]


def _agents(at: Facts) -> Degraded:
    names = [host.name for host in at.silent]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    live = sum(host.live for host in at.silent)
    every = len(names) >= at.hosts
    seen = [host.last_seen for host in at.silent if host.last_seen is not None]
    held = f"{live} {'claim stands' if live == 1 else 'claims stand'} there. " if live else ""
    who = "The only host is" if at.hosts == 1 else f"{'All' if every else len(names)} of {at.hosts} hosts are"
    if every and at.hosts > 1:
        who = f"All {at.hosts} hosts are"
    elif len(names) == 1 and at.hosts > 1:
        who = f"1 of {at.hosts} hosts is"
    return Degraded(
        code=DegradedCode.AGENTS_AWAY,
        subject=", ".join(names),
        grave=every,
        text=f"{who} silent ({shown}).",
        since=max(seen, default=None) if every else min(seen, default=None),
        meanwhile=(
            "Their slots are no capacity; jobs go to other hosts, or wait.",
            f"{held}Jobs that run there go on; none is given up before GitHub's own word on it.",
            "Their agents keep what they have to report, and need nobody to finish a job.",
        ),
        ends="they report again, or somebody puts them aside",
    )
