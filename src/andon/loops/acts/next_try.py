"""When an act that GitHub did not carry out is tried again: the table's word, as a time (R8, R20)."""

from datetime import datetime, timedelta

from andon.github.effects import EFFECTS, ReadAs, Retry
from andon.github.outcomes import SHORTEST_PAUSE, Failed
from andon.rules.backoff import backoff

SLOWLY = timedelta(minutes=1)
"""Before the second try of what somebody has to change first."""


def next_try(failed: Failed, attempts: int, now: datetime) -> datetime:
    """Not before GitHub's own time when it named one ahead of us; else after a pause that grows with `attempts`."""
    if failed.until is not None and failed.until > now:
        return max(failed.until, now + SHORTEST_PAUSE)
    pause = backoff(attempts)
    return now + (max(pause, SLOWLY) if EFFECTS[failed.kind].retry is Retry.AFTER_CHANGE else pause)


def next_slow_try(failed: Failed, attempts: int, now: datetime, longest: timedelta) -> datetime | None:
    """For what nobody waits for: pauses that double up to `longest`; None where the table says never.

    A 404 is one reading, which is no "never": what it stands for may come into reach again.
    """
    if EFFECTS[failed.kind].retry is Retry.NEVER and not is_out_of_reach(failed):
        return None
    first = SLOWLY if is_out_of_reach(failed) else SHORTEST_PAUSE
    # The exponent is bounded: no number of tries makes a number that a time cannot hold.
    return max(next_try(failed, attempts, now), now + min(longest, first * 2 ** min(attempts, 20)))


def is_out_of_reach(failed: Failed) -> bool:
    """Whether somebody has to change something before we are answered: 401 or no token, 403, 404."""
    effect = EFFECTS[failed.kind]
    return effect.retry is Retry.AFTER_CHANGE or effect.read_as is ReadAs.NOT_SEEN
