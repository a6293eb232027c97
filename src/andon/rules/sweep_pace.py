"""How often repositories are listed: as often as wanted, and less often as the quota falls (R4, R97).

Reading lists may take half of what the credential has; the rest is for acts and questions.
"""

from datetime import datetime

import msgspec

SHARE = 0.5
"""The part of a quota that listing may use."""
LONGEST_S = 900.0
"""However little is left, everything is listed at least this often: others in rotation in <= 30 min."""
HOUR_S = 3600.0


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one credential's quota, in calls an hour."""

    limit: int | None
    """None: GitHub has not named one yet."""
    left: int
    """Still to be used before `resets_at`, without what is kept in reserve."""
    resets_at: datetime | None


def period_s(wanted_s: float, cost: float, quota: Quota | None, now: datetime) -> float:
    """Seconds from one round to the next, when a round takes `cost` calls that count."""
    if quota is None or quota.limit is None or cost <= 0:
        return wanted_s
    # What a whole window allows, whatever is left of this one.
    period = max(wanted_s, cost * HOUR_S / (SHARE * quota.limit))
    if quota.resets_at is not None and (rest := (quota.resets_at - now).total_seconds()) > 0:
        allowed = SHARE * quota.left
        by_rest = rest if allowed < cost else cost * rest / allowed
        period = max(period, min(by_rest, rest))
    return min(period, max(wanted_s, LONGEST_S))
