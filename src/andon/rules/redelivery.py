"""Which deliveries GitHub is asked to send again, how many at once, and how often its log is read (R5).

There is no window after which one is given up: whatever GitHub still lists counts (T6).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from andon.rules.doctor_hook import SentTry, make_ledger

PERIOD_S = 300.0
"""Wanted time between two looks at a log: what was lost is found by the sweep long before."""
EACH_S = 120.0
"""With many webhooks, so much time for each: at most 30 calls an hour when nothing is wrong."""
TRIAL_S = 5.0
"""How soon after a trial its outcome is looked at; four times as long after each that failed."""
RETRY_S = 30.0
"""How soon a log is read again that gave no answer; twice as long after each more, up to the usual time."""
SLACK = timedelta(minutes=10)
"""A try is listed by the time it began, and only once it is over: newer ones can be there before."""
AT_ONCE = 100
"""Most requests that wait to be made; the next pass goes on with what is left."""


def lost(tries: Sequence[SentTry], ours: Mapping[str, str], now: datetime) -> tuple[SentTry, ...]:
    """The last try of each delivery that has no success anywhere, at GitHub or here; the oldest first.

    Only where the first try is among `tries`: without it nobody knows whether that one succeeded.
    """
    if not tries:
        return ()
    _, failed, unseen = make_ledger(tuple(tries), dict(ours), since=min(one.at for one in tries), now=now)
    not_here = {one.guid for one in unseen}
    begun = {one.guid for one in tries if not one.redelivery}
    found = [one for one in failed if one.guid in not_here & begun]
    return tuple(sorted(found, key=lambda one: (one.at, one.guid)))


def is_open(tries: Collection[SentTry]) -> bool:
    """Whether what GitHub sends arrives again: its newest try succeeded."""
    newest = max(tries, key=lambda one: (one.at, one.id or 0), default=None)
    return newest is not None and 200 <= newest.code < 300


def how_many(*, open_: bool, room: int) -> int:
    """How many to ask for now. While nothing arrives only one, as a trial: each is asked for only once,
    and would be spent for nothing."""
    return max(0, room if open_ else min(1, room))


def period_s(logs: int) -> float:
    """Seconds from one look at all logs to the next."""
    return max(PERIOD_S, EACH_S * logs)


def retry_pause_s(failures: int) -> float:
    """Seconds until a log is read again that gave no answer so many times in a row."""
    return min(PERIOD_S, RETRY_S * 2.0 ** max(0, min(failures, 10) - 1))


def trial_pause_s(trials: int) -> float:
    """Seconds until the outcome of the so-manieth trial in a row is looked at."""
    return min(PERIOD_S, TRIAL_S * 4.0 ** max(0, min(trials, 10) - 1))
