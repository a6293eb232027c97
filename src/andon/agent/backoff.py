"""Pauses between tries that grow, with chance in them so that hosts do not come back in step."""

from collections.abc import Callable


class Backoff:
    """`chance` gives a number from 0 to 1; pauses are in seconds."""

    def __init__(self, *, first: float, longest: float, chance: Callable[[], float]) -> None:
        self._first = first
        self._longest = longest
        self._chance = chance
        self.failures = 0

    def pause(self) -> float:
        """The pause after one more failure: between half and the whole of the doubled time."""
        full = min(self._longest, self._first * 2 ** min(self.failures, 20))
        self.failures += 1
        return full * (0.5 + 0.5 * self._chance())

    def reset(self) -> None:
        """After a success."""
        self.failures = 0
