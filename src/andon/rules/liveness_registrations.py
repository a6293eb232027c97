"""GitHub's lists of runners: how often they are read, what a list may say, and which entries go (R10, R30, R33).

A registration is removed on positive evidence from two sources: our own tables say that its claim is
over (or that there is none), and GitHub has listed it offline on several reads in a row. A list that
is empty, or that lacks runners which are known to be at work, says nothing at all.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from andon.model.nouns import Claim

READ_EVERY_S = 240.0
"""How often a place with runners of ours is read, when that is cheap."""
OTHERS_EVERY_S = 3600.0
"""How often the other configured places are read: leftovers of a lost database show there."""
CALLS_AN_HOUR = 60.0
"""What the lists may cost when every page has changed: a fifth of the 300 that reconciling may (limits.md 3)."""
READS = 3
"""So many reads in a row must show a registration offline."""
READS_APART = timedelta(minutes=2)
"""Reads nearer to each other than this are one."""
GRACE = timedelta(minutes=10)
"""For so long must it have been offline, and its claim over: longer than any runner takes to come up."""
MOST = 10
"""Removals that one pass orders; the rest waits for the next (R31)."""
SETTLED_IN = timedelta(minutes=2)
"""New runners may appear late in the list (contract section 3): a younger one's absence is no sign of a bad list,
and none that it is not registered."""


def absence_counts_from(claim: Claim, ordered_at: datetime) -> datetime:
    """From when on GitHub's word that it lists no runner of this claim counts (law 4): a removal was ordered at
    `ordered_at`. A runner whose mint never answered may have been made until then, one that has its number was
    made with the claim."""
    made_by = ordered_at if claim.runner_id is None else claim.created_at
    return made_by + SETTLED_IN


def read_period_s(pages: int) -> float:
    """Seconds between two reads of everything that is read often, which costs `pages` calls at most."""
    return max(READ_EVERY_S, pages * 3600.0 / CALLS_AN_HOUR)


def is_plausible(listed: Collection[str], at_work: Collection[str]) -> bool:
    """Whether a whole list may be believed: it has something, and at least half of what is known to be at work."""
    if not listed:
        return False
    missing = sum(1 for name in at_work if name not in listed)
    return 2 * missing <= len(at_work)


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """One registration of ours, and what we know behind it."""

    ours: bool
    """Its name carries our fleet's id."""
    status: str
    busy: bool
    offline_since: datetime
    """The first of the reads in a row."""
    reads: int
    claim_live: bool
    claim_over_since: datetime | None
    """None: there is no claim of this name."""
    process_reported: bool
    """Some host's last report shows a process of this name, whether that host reports now or not."""


def why_kept(one: Leftover, now: datetime) -> str | None:
    """Why a registration stays; None: it may be removed."""
    if not one.ours:
        return "it is not ours"
    if one.busy:
        return "GitHub says that it is busy"
    if one.status != "offline":
        return f"GitHub says that it is {one.status}"
    if one.claim_live:
        return "its claim is live: it may be starting"
    if one.process_reported:
        return "a host's last report shows its process"
    if one.reads < READS or now - one.offline_since < GRACE:
        return f"offline on {one.reads} reads since {one.offline_since.isoformat()}: too few or too short"
    if one.claim_over_since is not None and now - one.claim_over_since < GRACE:
        return "its claim was over only a moment ago"
    return None
