"""When an act that GitHub did not carry out is tried again: the table's word, as a time (R8, R20)."""

from datetime import datetime, timedelta

from andon.github.effects import EFFECTS, Retry
from andon.github.outcomes import Failed
from andon.rules.backoff import backoff

SLOWLY = timedelta(minutes=1)
"""Between two tries of what somebody has to change first."""


def next_try(failed: Failed, attempts: int, now: datetime) -> datetime:
    """Not before GitHub's own time when it named one; else after a pause that grows with `attempts`."""
    if failed.until is not None:
        return max(failed.until, now)
    pause = backoff(attempts)
    return now + (max(pause, SLOWLY) if EFFECTS[failed.kind].retry is Retry.AFTER_CHANGE else pause)
