"""What the sandbox needs of randomness. A `random.Random` fits; the caller seeds and owns it."""

from typing import Protocol


class Chance(Protocol):
    """A source of randomness."""

    def random(self) -> float:
        """A number from 0 up to, not including, 1."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """A number of `k` random bits."""
        ...

    def randrange(self, start: int, /) -> int:
        """A number from 0 up to, not including, `start`."""
        ...
