"""The time of day where several control planes share a database: the database's, whatever their own clocks say.

What one replica dates, another judges: a deadline, a pause, a rest. A replica whose clock is an hour ahead would
give up every fresh runner of the others at once, and pause them for an hour. Between two answers of the database the
machine's monotonic clock goes on, which nobody sets.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from andon.runtime.clock import Clock

JITTER = timedelta(milliseconds=100)
"""An answer may have been on its way for so long: it moves nothing, so that time does not go back all the time."""
DOUBT = timedelta(seconds=1)
"""When calendar and monotonic clock differ by so much since the last answer, one was set or the machine slept."""


class _Heard(msgspec.Struct, frozen=True):
    at: datetime
    monotonic: float
    calendar: datetime


class DatabaseClock:
    """A `Clock` whose time of day is the database's, as it was heard last. Until it was heard: the machine's."""

    def __init__(self, own: Clock) -> None:
        self._own = own
        self._heard: _Heard | None = None

    @property
    def doubtful(self) -> bool:
        """Whether the database should be asked before something is dated."""
        heard = self._heard
        if heard is None:
            return True
        passed = timedelta(seconds=self._own.monotonic() - heard.monotonic)
        return abs(self._own.now() - heard.calendar - passed) > DOUBT

    def hear(self, at: datetime) -> None:
        """What the database said just now."""
        if self._heard is None or self.doubtful or abs(at - self.now()) > JITTER:
            self._heard = _Heard(at, self._own.monotonic(), self._own.now())

    def now(self) -> datetime:
        heard = self._heard
        if heard is None:
            return self._own.now()
        return heard.at + timedelta(seconds=self._own.monotonic() - heard.monotonic)

    def monotonic(self) -> float:
        return self._own.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._own.sleep(seconds)

    def after(self, seconds: float, call: Callable[[], object]) -> Callable[[], object]:
        return self._own.after(seconds, call)
