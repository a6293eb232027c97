"""By which lever GitHub is kept from giving jobs to an adopted runner whose slot is not open (interfaces.md section 3).

First its custom labels, for a job that is assigned already goes on; where a pool asks for nothing but what GitHub
gives every runner, its group, if the organisation has one for it; else its agent stops its listener.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from enum import StrEnum

import msgspec

from andon.model.config import Pool

PARKING = "andon-parked"
"""The name of the runner group for it: an organisation's owner makes it, with no repository in it."""
TRIED_FOR = timedelta(seconds=60)
"""As long as GitHub may take to answer before the agent stops the listener instead."""
AGAIN_AFTER = timedelta(seconds=20)
"""When a call that failed is tried again."""
LOOKED_AT_AGAIN = timedelta(minutes=15)
"""When a lever that could not act is tried again: permissions and labels change seldom."""


class Lever(StrEnum):
    """What keeps jobs away."""

    LABELS = "labels"
    GROUP = "group"
    LISTENER = "listener"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The lever for one runner, and why not an earlier one."""

    lever: Lever
    reason: str


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A runner group, as far as it matters here."""

    id: int
    name: str
    visibility: str | None


def choose(custom: Collection[str], own: Collection[str], pools: Sequence[Pool]) -> Choice:
    """LABELS or GROUP for a runner with these custom labels beside `own`, those that GitHub gave it itself."""
    given = {label.lower() for label in own}
    asking = next((pool.name for pool in pools if {label.lower() for label in pool.labels} <= given), None)
    if asking is not None:
        return Choice(lever=Lever.GROUP, reason=f"pool {asking} asks for labels that GitHub gives every such runner")
    if not custom:
        return Choice(lever=Lever.GROUP, reason="it has no label that could be taken off")
    return Choice(lever=Lever.LABELS, reason="its labels are taken off")


def parking(groups: Sequence[Group]) -> Group | None:
    """The organisation's group for parked runners; one that all repositories may use parks nothing."""
    return next((group for group in groups if group.name == PARKING and group.visibility == "selected"), None)
