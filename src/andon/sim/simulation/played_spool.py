"""A replica's spool without files and threads: what is kept here outlives the process, as a disk does."""

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from andon.store.deliveries import Received
from andon.store.spool import Contents


class PlayedSpool:
    """What `store.spool.Spool` is to the intake."""

    def __init__(self) -> None:
        self._kept: list[Received] = []
        self._segments = 0
        self.taken = 0
        """Deliveries that were acknowledged out of here."""

    @property
    def waiting(self) -> bool:
        """Whether anything here waits for the database."""
        return bool(self._kept)

    def look_around(self) -> None:
        """Nobody else has a folder here."""

    async def keep(self, delivery: Received) -> None:
        """Durable once this returns."""
        self._kept.append(delivery)
        self.taken += 1

    @contextlib.asynccontextmanager
    async def oldest(self, leave: set[Path]) -> AsyncGenerator["_Segment | None"]:
        """All that waits, as one segment."""
        if not self._kept:
            yield None
            return
        self._segments += 1
        yield _Segment(Path(f"{self._segments}.segment"), self._kept)

    async def put_aside(self, record: bytes) -> None:
        """Nothing here is ever spoilt."""
        raise AssertionError("the simulation's spool holds whole deliveries only")


class _Segment:
    def __init__(self, path: Path, kept: list[Received]) -> None:
        self.path, self._kept = path, kept
        self._read = 0

    def read(self) -> Contents:
        self._read = len(self._kept)
        return Contents([*self._kept], [], b"")

    def remove(self) -> None:
        # What came while it was drained stays.
        del self._kept[: self._read]
