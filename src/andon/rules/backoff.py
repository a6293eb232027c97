"""How long to wait before the next try of something that failed."""

from datetime import timedelta

LONGEST = timedelta(minutes=1)


def backoff(failures: int) -> timedelta:
    """1 s, 2 s, 4 s ... up to a minute; `failures` counts the tries before this one."""
    return min(LONGEST, timedelta(seconds=2 ** min(failures, 10)))
