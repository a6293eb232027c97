"""Loop "budgets": writes down what GitHub said of our quotas, and takes it over from the leader before.

So a restart or a new leader sends nothing inside a pause that GitHub asked for, and every replica's
board shows what is held back (R8). A pause nudges it: until it is written down, a restart would not know of it.
"""

from andon.loops.fleet import Fleet
from andon.model.budget import BudgetView
from andon.store import budgets


class KeepBudgets:
    """One pass writes what has changed."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._written: tuple[BudgetView, ...] = ()

    async def take_over(self) -> None:
        """Reads what the leader before knew; done before the first call of this one."""
        now = self._fleet.clock.now()
        self._fleet.github.restore(await self._fleet.store.read(lambda known: budgets.handed_over(known, now)))

    async def run_once(self) -> float | None:
        """Writes down what has changed since the last pass."""
        if self._fleet.lease() is None:
            return None
        views = self._fleet.github.budgets()
        if views != self._written:
            await self._fleet.write(lambda tx: budgets.save(tx, views))
            self._written = views
        return None
