"""Loop "retention": removes what is over and old, a small batch a transaction (rules.retention)."""

import asyncio
from datetime import datetime
from pathlib import Path

from andon.loops.fleet import Fleet
from andon.rules.retention import GONE_HOST, KEPT, REFUSED_RECORDS
from andon.store.gone_hosts import forget_gone_hosts
from andon.store.retention import Key, Step, prune
from andon.store.transaction import Tx

PERIOD_S = 600.0
WINDOW = 500
"""Rows of a table that one transaction looks at: others wait for it no longer than milliseconds."""
HOSTS_AT_ONCE = 100
NEXT_WINDOW_S = 0.5
"""Pause between windows: others write meanwhile."""


class Retention:
    """One pass looks at the next window of each table that has old rows."""

    def __init__(self, fleet: Fleet, *, spool: Path | None = None) -> None:
        self._fleet = fleet
        self._spool = spool
        """This process' folder of deliveries that wait, where refused ones are put aside."""
        self._after: dict[str, Key | None] = {}
        """Where the present walk of a table goes on; a table that is absent was walked to its end."""
        self._removed: dict[str, int] = {}

    async def run_once(self) -> float | None:
        """Prunes one window of each table; asks to be called again soon while old rows lie beyond."""
        if not self._after:
            await self._remove_refused()
        if self._fleet.lease() is None:
            return None
        if not self._after:
            await self._forget_hosts()
        for table in tuple(self._after) or tuple(KEPT):
            step = await self._fleet.write(lambda tx, table=table: self._step(tx, table))
            self._removed[table] = self._removed.get(table, 0) + step.removed
            if step.after is None:
                self._after.pop(table, None)
            else:
                self._after[table] = step.after
        if self._after:
            return NEXT_WINDOW_S
        removed = {table: count for table, count in self._removed.items() if count}
        self._removed = {}
        if removed:
            self._fleet.log.info("retention.removed", **removed)
        return None

    async def _forget_hosts(self) -> None:
        gone = await self._fleet.write(lambda tx: forget_gone_hosts(tx, before=tx.now - GONE_HOST, most=HOSTS_AT_ONCE))
        for name in gone:
            self._fleet.log.info("host.forgotten", host=name)

    async def _remove_refused(self) -> None:
        """Each process does it for its own folder, whoever leads."""
        if self._spool is None:
            return
        before = self._fleet.clock.now() - REFUSED_RECORDS
        removed = await asyncio.to_thread(_remove_old_files, self._spool, before)
        if removed:
            self._fleet.log.info("spool.refused_removed", files=removed)

    def _step(self, tx: Tx, table: str) -> Step:
        return prune(tx, table, before=tx.now - KEPT[table], after=self._after.get(table), window=WINDOW)


def _remove_old_files(folder: Path, before: datetime) -> int:
    """Another process may share the folder: what it removed first is not ours to miss."""
    removed = 0
    for path in folder.glob("*.refused"):
        try:
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue
    return removed
