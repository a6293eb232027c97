"""One writer thread with group commit: what waits when it is free is written together and made
durable by one commit (design.md section 7). The same for both databases.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import Connection

from andon.runtime.batches import Batches, Waiting
from andon.store.database import Closed, RolledBack

T = TypeVar("T")

MAX_GROUP = 256
"""Most transactions that share one commit: bounds how long the first of them waits."""

_Work = Callable[[Connection], Any]


class GroupCommit:
    """The writer of one database.

    `transaction` gives a connection inside a begun transaction, and commits it at its end.
    `still_open` says whether the connection is still inside that transaction. `before_commit` is
    run last inside it.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Connection]],
        *,
        still_open: Callable[[Connection], bool],
        before_commit: Callable[[Connection], None] = lambda connection: None,
    ) -> None:
        self._transaction = transaction
        self._still_open = still_open
        self._before_commit = before_commit
        self.commits = 0
        """How many commits were made: the tests of group commit count them."""
        self._batches: Batches[_Work] = Batches("store-write", self._commit_together, most=MAX_GROUP)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in a transaction; returns once it is durable. Raises Closed after `close`."""
        if self._batches.closed:
            raise Closed
        return await asyncio.wrap_future(self._batches.hand_in(work))

    def close(self) -> None:
        """Writes what waits, and ends the thread."""
        self._batches.close()

    def _commit_together(self, group: list[Waiting[_Work]]) -> None:
        """Runs each transaction in a savepoint of its own, then makes all of them durable at once.

        What raises out of here is told to everybody of the group that has no answer yet: nobody
        may believe that anything was kept.
        """
        if not group:
            return
        finished: list[tuple[Waiting[_Work], Any]] = []
        with self._transaction() as connection:
            if len(group) == 1:
                # Alone it needs no savepoint: its failure undoes the whole transaction.
                finished.append((group[0], group[0].item(connection)))
            else:
                for each in group:
                    try:
                        with connection.begin_nested():
                            finished.append((each, each.item(connection)))
                    except Exception as error:
                        each.done.set_exception(error)
                        self._check_still_open(connection, error)
            self._before_commit(connection)
        self.commits += 1
        for each, result in finished:
            each.done.set_result(result)

    def _check_still_open(self, connection: Connection, error: Exception) -> None:
        """Raises RolledBack when the database ended the transaction by itself.

        A full disk, an I/O error, a lack of memory or a lost connection undoes everything since
        BEGIN, not only the savepoint; whoever went before in the group must then not be told that
        he was written.
        """
        if not self._still_open(connection):
            raise RolledBack(f"The transactions of a group were undone together: {error}") from error
