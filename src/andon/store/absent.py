"""The place of a database that has not answered since the start: everything asked of it is told so.

With it the control plane can keep deliveries on its disk, and say what is wrong, before it has a database.
"""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from andon.store.database import Unavailable

T = TypeVar("T")


class AbsentDatabase:
    """A `Database` that is not there yet; `why` is what was found last, in the words of whoever looked."""

    def __init__(self) -> None:
        self.why = "it is being opened"

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Raises Unavailable."""
        raise Unavailable(self.why)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Raises Unavailable."""
        raise Unavailable(self.why)

    def close(self) -> None:
        """Nothing is open."""
