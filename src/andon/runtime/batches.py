"""A thread that handles together what waits together: group commits and group fsyncs.

Callers hand in items and get a future each; the thread takes what has come since its last round,
up to `most`, and handles it in one go.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

I = TypeVar("I")  # noqa: E741


class Waiting(Generic[I]):
    """One item and the future that its handing in gave."""

    def __init__(self, item: I) -> None:
        self.item = item
        self.done: Future[Any] = Future()


class Batches(Generic[I]):
    """`handle` gets the items of a round and settles each future; what it leaves open gets its error."""

    def __init__(self, name: str, handle: Callable[[list[Waiting[I]]], None], *, most: int) -> None:
        self._handle = handle
        self._most = most
        self._queue: queue.SimpleQueue[Waiting[I] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._start = threading.Lock()

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._closed

    def hand_in(self, item: I) -> "Future[Any]":
        """Adds an item to the next round; the first one starts the thread."""
        with self._start:
            if not self._thread.is_alive() and not self._closed:
                self._thread.start()
        waiting = Waiting(item)
        self._queue.put(waiting)
        return waiting.done

    def close(self) -> None:
        """Handles what waits, and ends the thread."""
        with self._start:
            if self._closed:
                return
            self._closed = True
            started = self._thread.is_alive()
        if started:
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        last = False
        while not last and (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < self._most:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    last = True
                    break
                batch.append(item)
            wanted = [each for each in batch if each.done.set_running_or_notify_cancel()]
            try:
                self._handle(wanted)
            except Exception as error:
                for each in wanted:
                    if not each.done.done():
                        each.done.set_exception(error)
