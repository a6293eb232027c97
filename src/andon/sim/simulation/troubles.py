"""Which large faults are in force, and since when: what a measured time may be excused by, and nothing else."""

from collections.abc import Callable

import msgspec

from andon.agent.timing import Timing

AFTERMATH_S = Timing().answer + Timing().longest_retry
"""What a fault costs after its end: a sync that was under way is given up after 35 s, and tried again 5 s later."""
_BACKED_OFF_FROM = frozenset({"github_cut", "github_limits", "token_expires"})
"""After these pauses double (R20): the next try may be as far away as the fault lasted."""


class Trouble(msgspec.Struct, kw_only=True, eq=False):
    """One large fault."""

    kind: str
    host: str | None
    """The host that it befalls; None: everybody."""
    began: float
    ended: float | None = None

    def felt_until(self, now: float) -> float:
        """Until when it may still be felt; beyond `now` while it is in force."""
        if self.ended is None:
            return now + AFTERMATH_S
        return self.ended + AFTERMATH_S + (self.ended - self.began if self.kind in _BACKED_OFF_FROM else 0.0)


class Troubles:
    """All of a day."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._all: list[Trouble] = []

    def begin(self, kind: str, host: str | None = None) -> Trouble:
        """It is in force from now on."""
        made = Trouble(kind=kind, host=host, began=self._now())
        self._all.append(made)
        return made

    def end(self, trouble: Trouble) -> None:
        """It is over."""
        if trouble.ended is None:
            trouble.ended = self._now()

    def end_all(self) -> None:
        """Calm begins."""
        for each in self._all:
            self.end(each)

    def befall(self, host: str) -> bool:
        """Whether something holds this host down now, or has until just now."""
        now = self._now()
        return any(each.host == host and each.felt_until(now) > now for each in self._all)

    def during(self, since: float, until: float, host: str | None) -> tuple[str, ...]:
        """What befell everybody, or this host, between the two."""
        return tuple(dict.fromkeys(each.kind for each in self._between(since, until, host)))

    def clear_seconds(self, since: float, until: float, host: str | None = None) -> float:
        """How much of that time nothing was in force that befalls everybody, or this host."""
        clear, at = 0.0, since
        for each in sorted(self._between(since, until, host), key=lambda each: each.began):
            clear += max(0.0, each.began - at)
            at = max(at, each.felt_until(until))
        return clear + max(0.0, until - at)

    def forget(self) -> None:
        """What is over is forgotten."""
        self._all = [each for each in self._all if each.ended is None]

    def _between(self, since: float, until: float, host: str | None) -> list[Trouble]:
        return [
            each
            for each in self._all
            if each.host in (None, host) and each.began < until and each.felt_until(until) > since
        ]
