"""Loop "retention": removes what is over and old, a small batch a transaction (rules.retention)."""

from andon.loops.fleet import Fleet
from andon.rules.retention import KEPT
from andon.store.retention import Key, Step, prune
from andon.store.transaction import Tx

PERIOD_S = 600.0
WINDOW = 500
"""Rows of a table that one transaction looks at: others wait for it no longer than milliseconds."""
NEXT_WINDOW_S = 0.5
"""Pause between windows: others write meanwhile."""


class Retention:
    """One pass looks at the next window of each table that has old rows."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._after: dict[str, Key | None] = {}
        """Where the present walk of a table goes on; a table that is absent was walked to its end."""
        self._removed: dict[str, int] = {}

    async def run_once(self) -> float | None:
        """Prunes one window of each table; asks to be called again soon while old rows lie beyond."""
        if self._fleet.lease() is None:
            return None
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

    def _step(self, tx: Tx, table: str) -> Step:
        return prune(tx, table, before=tx.now - KEPT[table], after=self._after.get(table), window=WINDOW)
