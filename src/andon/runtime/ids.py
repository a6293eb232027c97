"""Our own identifiers: a prefix, the time and some chance, so that they sort by age."""

import random
import secrets
import threading
from typing import Protocol

from andon.runtime.clock import Clock

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_DIGITS = 9
_CHANCE_DIGITS = 10


class Ids(Protocol):
    """A source of new identifiers."""

    def new(self, prefix: str) -> str:
        """A fresh identifier such as `clm_01jd3k9x0abcdefghjkm` for the prefix `clm`."""
        ...


def _digits(value: int, width: int) -> str:
    out: list[str] = []
    for _ in range(width):
        out.append(_DIGITS[value & 31])
        value >>= 5
    return "".join(reversed(out))


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
        self._turn = threading.Lock()

    def new(self, prefix: str) -> str:
        with self._turn:
            ms = int(self._clock.now().timestamp() * 1000)
            if ms > self._last_ms:
                self._last_ms = ms
                # The top bit stays free so that counting up inside one millisecond cannot overflow.
                self._last_chance = self._chance.getrandbits(49)
            else:
                self._last_chance += 1 + self._chance.getrandbits(16)
            return f"{prefix}_{_digits(self._last_ms, _TIME_DIGITS)}{_digits(self._last_chance, _CHANCE_DIGITS)}"


def system_random() -> random.Random:
    """Randomness from the operating system, for programs that really run."""
    return random.SystemRandom()


def new_secret(size: int = 32) -> str:
    """A fresh secret of `size` random bytes, safe in headers and files."""
    return secrets.token_urlsafe(size)
