"""How far our clock is from GitHub's, read from the Date of its answers.

A clock that is minutes off makes an App's proofs unacceptable and deadlines wrong: doctor shows it,
and the App's proofs are made by GitHub's time.
"""

from datetime import datetime, timedelta

import msgspec

PRECISION = timedelta(seconds=1)
"""Date has whole seconds."""


class Skew(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. `ahead_s` above 0: our clock shows a later time than GitHub's."""

    ahead_s: float
    uncertain_s: float
    """The truth lies within this of `ahead_s`: half the time the answer took, and Date's whole seconds."""
    at: datetime
    """Our time of the measurement."""


def measure(theirs: datetime, sent: datetime, received: datetime) -> Skew:
    """The skew by one answer whose Date is `theirs`, asked for and received at these times of ours."""
    took = max(received - sent, timedelta())
    # Date is cut to whole seconds: on average half a second too early.
    ahead = sent + took / 2 - (theirs + PRECISION / 2)
    return Skew(ahead_s=ahead.total_seconds(), uncertain_s=((took + PRECISION) / 2).total_seconds(), at=received)


class ClockSkew:
    """The latest measurement; an answer that took long does not replace a sharp one of the last minutes."""

    def __init__(self) -> None:
        self.latest: Skew | None = None

    def learn(self, theirs: datetime, sent: datetime, received: datetime) -> None:
        """Takes one answer into account."""
        new = measure(theirs, sent, received)
        old = self.latest
        stale = old is None or abs(new.at - old.at) > timedelta(minutes=5)
        if old is None or stale or new.uncertain_s <= old.uncertain_s or abs(new.ahead_s - old.ahead_s) > 5:
            self.latest = new

    def theirs(self, ours: datetime) -> datetime:
        """GitHub's time at a time of ours; the same before the first measurement."""
        return ours - timedelta(seconds=self.latest.ahead_s) if self.latest else ours
