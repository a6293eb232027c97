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

    def keep(self, wanted: Set[Named]) -> None:
        """Watches exactly these from now on."""
        for process in [one for one in self._files if one not in wanted]:
            self._drop(process)
        for process in wanted:
            if process not in self._files:
                file = open_process(*process)
                if file is not None:
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
