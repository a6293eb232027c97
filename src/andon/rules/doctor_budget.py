"""Judges GitHub's quota, and how much of it polling takes (R8, R97)."""

from datetime import datetime

import msgspec

from andon.model.config import GitHub
from andon.rules.doctor_finding import Check, Finding, Severity, judged, unknown

SHORT = 0.1
"""Below this part of the quota something is wrong, or will be before the hour is over."""
CALLS_PER_POLL = 2
"""Of each repository: its queued and its running runs. A list that did not change costs nothing."""


class QuotaFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The quota of one owner's credential."""

    owner: str
    limit: int | None
    remaining: int | None = None
    resets_at: datetime | None = None
    said: str = ""


def polls_per_hour(github: GitHub, repositories: int) -> int:
    """The most calls an hour that watching these repositories costs, jobs not counted."""
    period = github.poll_seconds if github.ingest == "poll" else github.sweep_seconds
    return round(3600 / period * CALLS_PER_POLL * repositories)


def judge_budget(
    github: GitHub, found: tuple[QuotaFacts, ...], *, repositories: int, not_listed: str | None = None
) -> Check:
    """Whether enough is left, and whether polling fits in half of it.

    `not_listed`: whose repositories could not be listed, so that `repositories` may be too few.
    """
    told = [one for one in found if one.limit is not None and one.remaining is not None]
    if not told:
        return unknown("budget", found[0].said if found else "no owner is configured")
    findings: list[Finding] = []
    for one in told:
        limit, remaining = one.limit or 0, one.remaining or 0
        if limit and remaining < SHORT * limit:
            when = f" It is full again at {one.resets_at:%H:%M} UTC." if one.resets_at else ""
            findings.append(
                Finding(
                    id="budget.low",
                    what=f"{one.owner}: {remaining} of {limit} calls of this hour are left.{when}",
                    do="Who else uses this credential? Give Andon an App of its own: andon github create-app.",
                )
            )
        wanted = polls_per_hour(github, repositories)
        if github.ingest == "poll" and limit and wanted > limit / 2:
            findings.append(
                Finding(
                    id="budget.poll",
                    severity=Severity.WARNING,
                    what=f"{one.owner}: polling {repositories} repositories every {github.poll_seconds:g} s takes up "
                    f"to {wanted} calls an hour, more than half of {limit}; Andon then polls less often.",
                    do="Raise poll_seconds, use webhooks, or give owners an App: each installation has its own quota.",
                )
            )
    least = min(told, key=lambda one: (one.remaining or 0) / max(1, one.limit or 1))
    note = f"{least.remaining} of {least.limit} calls left"
    if github.ingest == "poll":
        note += f"; polling takes up to {polls_per_hour(github, repositories)} an hour"
    untold = [one for one in found if one.limit is None or one.remaining is None]
    partly = not_listed if github.ingest == "poll" else None
    if untold:
        partly = f"{untold[0].owner}: {untold[0].said}"
    return judged("budget", note, findings, partly=partly)
