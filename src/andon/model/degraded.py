"""Degraded conditions: what works less than it should, as board, status, API and metrics name it (R8).

A condition is no incident: it says what Andon itself does meanwhile, and when that ends. The rule that
finds them is `rules.degraded`.
"""

from datetime import datetime
from enum import StrEnum

import msgspec


class DegradedCode(StrEnum):
    """The conditions that there are; `docs/degraded.md` has a line for each."""

    DATABASE_AWAY = "database.away"
    """The database does not answer, or cannot be written."""
    DELIVERIES_SPOOLED = "deliveries.spooled"
    """The database answers, and deliveries still wait on this machine's disk."""
    GITHUB_DOWN = "github.down"
    """GitHub's API fails or does not answer."""
    GITHUB_BUDGET = "github.budget"
    """Calls to GitHub are held back: a quota runs low, or GitHub asked for a pause."""
    AGENTS_AWAY = "agents.away"
    """Hosts that should report are silent."""


class Degraded(msgspec.Struct, frozen=True, kw_only=True):
    """One condition that holds now."""

    code: DegradedCode
    subject: str
    """What it is about: a credential and its bucket, names of hosts; empty where the code says it all."""
    grave: bool
    """Work stops, or what is shown is not the present."""
    text: str
    """What is wrong, one sentence."""
    since: datetime | None
    """None: nobody here knows."""
    meanwhile: tuple[str, ...]
    """What Andon does until it ends, a sentence each."""
    ends: str
    """What ends it."""
    until: datetime | None = None
    """When that is, where it is known."""
