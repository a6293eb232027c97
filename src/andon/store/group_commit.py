"""One writer thread with group commit: what waits when it is free is written together and made
durable by one commit (design.md section 7). The same for both databases.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import Connection

from andon.store.database import Closed, RolledBack

T = TypeVar("T")

MAX_GROUP = 256
"""Most transactions that share one commit: bounds how long the first of them waits."""


class _Work:
    """One waiting transaction."""

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.done: Future[Any] = Future()


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
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closed = False
        self.commits = 0
        """How many commits were made: the tests of group commit count them."""
        self._thread = threading.Thread(target=self._write_until_closed, name="store-write", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in a transaction; returns once it is durable. Raises Closed after `close`."""
        if self._closed:
            raise Closed
        item = _Work(work)
        self._queue.put(item)
        return await asyncio.wrap_future(item.done)

    def close(self) -> None:
        """Writes what waits, and ends the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def _write_until_closed(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first]
            last = False
            while len(group) < MAX_GROUP:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    last = True
                    break
                group.append(item)
            self._commit_together(group)
            if last:
                return

    def _commit_together(self, group: list[_Work]) -> None:
        """Runs each transaction in a savepoint of its own, then makes all of them durable at once."""
        finished: list[tuple[_Work, Any]] = []
        wanted = [item for item in group if item.done.set_running_or_notify_cancel()]
        try:
            with self._transaction() as connection:
                if len(wanted) == 1:
                    # Alone it needs no savepoint: its failure undoes the whole transaction.
                    finished.append((wanted[0], wanted[0].work(connection)))
                else:
                    for item in wanted:
                        try:
                            with connection.begin_nested():
                                finished.append((item, item.work(connection)))
                        except Exception as error:
                            item.done.set_exception(error)
                            self._check_still_open(connection, error)
                self._before_commit(connection)
            self.commits += 1
        except Exception as error:
            # Nobody of this group may believe that anything was kept.
            for item in wanted:
                if not item.done.done():
                    item.done.set_exception(error)
            return
        for item, result in finished:
            item.done.set_result(result)

    def _check_still_open(self, connection: Connection, error: Exception) -> None:
        """Raises RolledBack when the database ended the transaction by itself.

        A full disk, an I/O error, a lack of memory or a lost connection undoes everything since
        BEGIN, not only the savepoint; whoever went before in the group must then not be told that
        he was written.
        """
        if not self._still_open(connection):
            raise RolledBack(f"The transactions of a group were undone together: {error}") from error
