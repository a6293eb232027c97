"""Whether the database answers, judged by the transactions that are asked of it anyway.

It is away when the last one to end failed for want of it, or when one has been under way for long and
none has ended since. Writing and reading are judged apart: a full disk can still be read.
"""

import itertools
from datetime import datetime

import msgspec

from andon.runtime.clock import Clock

STANDS_STILL_S = 5.0
"""A transaction may take so long before a database from which nothing else comes is said to be away."""


class Away(msgspec.Struct, frozen=True, kw_only=True):
    """The database is away."""

    since: datetime
    said: str | None
    """None: it says nothing at all."""


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    monotonic: float


class Answering:
    """One kind of transaction: those that write, or those that read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = itertools.count()
        self._asked: dict[int, _Asked] = {}
        self._answered = clock.monotonic()
        self._failed: Away | None = None

    def asked(self) -> int:
        """A transaction begins; its number goes to `ended`."""
        number = next(self._numbers)
        self._asked[number] = _Asked(at=self._clock.now(), monotonic=self._clock.monotonic())
        return number

    def ended(self, number: int, failure: str | None) -> None:
        """It ended; `failure`: for want of the database, in its words."""
        began = self._asked.pop(number, None)
        if began is None:
            return
        if failure is None:
            self._answered, self._failed = self._clock.monotonic(), None
        else:
            self._failed = Away(since=self._failed.since if self._failed else began.at, said=failure)

    def forgotten(self, number: int) -> None:
        """Nobody waits for it any more; how it ends will not be known."""
        self._asked.pop(number, None)

    @property
    def stands_still(self) -> bool:
        """Whether what is asked now would only wait with the others."""
        oldest = next(iter(self._asked.values()), None)
        return oldest is not None and self._clock.monotonic() - max(oldest.monotonic, self._answered) > STANDS_STILL_S

    def away(self) -> Away | None:
        """None: it answers, as far as anybody has asked."""
        if self._failed is not None:
            return self._failed
        if not self.stands_still:
            return None
        return Away(since=next(iter(self._asked.values())).at, said=None)
