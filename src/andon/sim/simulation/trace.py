"""What happened, as one hash: the same seed gives the same hash, on any machine (law of the simulator)."""

import hashlib
import re
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from andon.store.database import Unavailable

_LAST = 20_000
"""Lines that are kept."""
_ABOUT, _END = 39, 20
"""Of a shortened trace: with the line between, what a command shows."""
_NAMES = re.compile(r"\bclm_\w+|\b\d{9,}\b")
"""What a line about one job or claim names."""


class Trace:
    """Lines are hashed as they come; the last ones are kept for whoever has to understand a failure."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._hash = hashlib.sha256()
        self.lines = 0
        self.last: deque[str] = deque(maxlen=_LAST)

    def note(self, who: str, what: str, **facts: Any) -> None:
        """Adds a line. Facts are shown as they are: no addresses, no times of this machine."""
        said = " ".join(f"{name}={value}" for name, value in facts.items())
        line = f"{self._now():.3f} {who} {what} {said}"
        self._hash.update(line.encode())
        self.lines += 1
        self.last.append(line)

    def about(self, violations: Sequence[str]) -> tuple[str, ...]:
        """A shortened trace for whoever has to understand these: first what happened to the jobs and claims that
        the first of them names, and to those that such lines name, then the end of it all."""
        wanted = set(_NAMES.findall(violations[0])) if violations else set[str]()
        for line in self.last:
            if not wanted.isdisjoint(named := _NAMES.findall(line)) and len(named) <= 3:
                wanted.update(named)
        lines = [line for line in self.last if not wanted.isdisjoint(_NAMES.findall(line))][-_ABOUT:]
        end = list(self.last)[-_END:]
        return (*lines, *(["...", *end] if lines else end))

    @property
    def digest(self) -> str:
        """The hash of all lines so far."""
        return self._hash.hexdigest()[:16]


class TracedLog:
    """A program's log: every line goes into the trace, and what only a fault of ours says is kept."""

    def __init__(self, trace: Trace, who: str, faults: list[str]) -> None:
        self._trace, self._who, self._faults = trace, who, faults

    def info(self, event: str, **facts: Any) -> None:
        self._trace.note(self._who, event, **facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._trace.note(self._who, event, **facts)

    def error(self, event: str, **facts: Any) -> None:
        self._trace.note(self._who, event, **facts)

    def exception(self, event: str, **facts: Any) -> None:
        """A handler that caught what it did not expect: always worth a look."""
        error = sys.exc_info()[1]
        if isinstance(error, Unavailable):
            # The database is away, as the weather wants it: said, and no fault of ours.
            self._trace.note(self._who, event, error="Unavailable", **facts)
            return
        self._trace.note(self._who, event, error=f"{type(error).__name__}: {error}", **facts)
        self._faults.append(f"{self._who} {event} {facts} {type(error).__name__}: {error}")
