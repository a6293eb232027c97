"""Our own identifiers: a prefix, the time and some chance, so that they sort by age."""

import random
import secrets
import threading
from typing import Protocol

from andon.runtime.clock import Clock

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


class Ids(Protocol):
    """A source of new identifiers."""

    def new(self, prefix: str) -> str:
        """A fresh identifier such as `clm_01m81s27ev9bj46e6k85` for the prefix `clm`."""
        ...

    def many(self, prefix: str, count: int) -> list[str]:
        """`count` fresh identifiers, in the order of their making."""
        ...


_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]


def _digits(value: int) -> str:
    """The last ten base-32 digits of a number, two at a time: ids are made in the hot path."""
    return (
        _PAIRS[(value >> 40) & 1023]
        + _PAIRS[(value >> 30) & 1023]
        + _PAIRS[(value >> 20) & 1023]
        + _PAIRS[(value >> 10) & 1023]
        + _PAIRS[value & 1023]
    )


class SortableIds:
    """Milliseconds since 1970 and then fifty random bits, both in base 32.

    Within one millisecond the random part only grows, so that the order of making is the order of
    sorting for everything that one process made, in whichever of its threads.
    """

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self._clock = clock
        self._chance = chance
        self._last_ms = -1
        self._last_chance = 0
        self._time_digits = ""
        self._turn = threading.Lock()

    def new(self, prefix: str) -> str:
        return self.many(prefix, 1)[0]

    def many(self, prefix: str, count: int) -> list[str]:
        with self._turn:
            ms = int(self._clock.now().timestamp() * 1000)
            later = ms > self._last_ms
            if later:
                self._last_ms = ms
                self._time_digits = _digits(ms)
            start = f"{prefix}_{self._time_digits}"
            made: list[str] = []
            for _ in range(count):
                if later:
                    # The top bit stays free so that counting up inside one millisecond cannot overflow.
                    self._last_chance = self._chance.getrandbits(49)
                    later = False
                else:
                    self._last_chance += 1 + self._chance.getrandbits(16)
                made.append(start + _digits(self._last_chance))
            return made


def system_random() -> random.Random:
    """Chance for ids and for spreading in time, seeded by the operating system; not for secrets.

    Not a call of the system for each number: ids are made in the hot path. Secrets come from `new_secret`.
    """
    return random.Random(secrets.randbits(256))


def new_mark() -> str:
    """Ten small letters and digits that nobody had before: the end of a name that must be new."""
    return secrets.token_hex(5)


def new_secret(size: int = 32) -> str:
    """A fresh secret of `size` random bytes, safe in headers and files."""
    return secrets.token_urlsafe(size)
