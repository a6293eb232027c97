"""Where transactions run. Callers hand in a function; the store runs it in one transaction.

What every database gives the rooms above; `sqlite` and `postgres` are the two there are.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from andon.runtime.errors import AndonError

T = TypeVar("T")


class Database(Protocol):
    """What the rooms above see of a database."""

    def write(self, work: Callable[[Connection], T]) -> Coroutine[Any, Any, T]:
        """Runs `work` in one transaction; returns once it is durable. Its exception undoes it alone.

        Writers are one after the other, in this process and in all others: what `work` reads
        stands until it is written.
        """
        ...

    def read(self, work: Callable[[Connection], T]) -> Coroutine[Any, Any, T]:
        """Runs `work` on one consistent snapshot."""
        ...

    def close(self) -> None:
        """Finishes what was begun and closes the connections."""
        ...


class Closed(AndonError):
    """The database is closed."""


class Unavailable(AndonError):
    """The database does not answer, or cannot write."""


class RolledBack(Unavailable):
    """The database undid a whole group of transactions because one of them failed."""
