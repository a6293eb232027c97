"""Waits for processes that may not be our children: the kernel says when one ends (pidfd)."""

import asyncio
import os
from collections.abc import Callable, Set

from andon.agent.process_identity import open_process

Named = tuple[int, int | None]
"""A pid with its start in ticks (None: a child of ours, which nobody else reaps)."""


class Watches:
    """Calls `ended` when any of the processes that are kept in view ends."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._files: dict[Named, int] = {}
        self._missed: set[Named] = set()
        """Gone before they could be watched: their end is told, too, and once."""

    def keep(self, wanted: Set[Named]) -> None:
        """Watches exactly these from now on."""
        for process in [one for one in self._files if one not in wanted]:
            self._drop(process)
        self._missed &= wanted
        for process in wanted - self._files.keys() - self._missed:
            file = open_process(*process)
            if file is None:
                self._missed.add(process)
                self._ended()
            else:
                self._files[process] = file
                asyncio.get_running_loop().add_reader(file, self._fire, process)

    def close(self) -> None:
        """Watches nothing any more."""
        self.keep(frozenset())

    def _fire(self, process: Named) -> None:
        # The descriptor stays readable from now on: it must not be asked again.
        asyncio.get_running_loop().remove_reader(self._files[process])
        self._ended()

    def _drop(self, process: Named) -> None:
        file = self._files.pop(process)
        asyncio.get_running_loop().remove_reader(file)
        os.close(file)
