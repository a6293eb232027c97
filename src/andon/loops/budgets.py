"""Loop "budgets": writes down what GitHub said of our quotas, and takes it over from the leader before.

So a restart or a new leader sends nothing inside a pause that GitHub asked for, and every replica's
board shows what is held back (R8).
"""

from andon.loops.fleet import Fleet
from andon.model.budget import BudgetView
from andon.store import budgets


class KeepBudgets:
    """One pass writes what has changed; the first one after taking the lead reads first."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._led = 0
        """The generation of the lease under which the budgets were taken over."""
        self._written: tuple[BudgetView, ...] = ()

    async def run_once(self) -> float | None:
        """Takes over, or writes down."""
        lease = self._fleet.lease()
        if lease is None:
            return None
        if lease.generation != self._led:
            self._fleet.github.restore(await self._fleet.store.read(budgets.all_budgets))
            self._led = lease.generation
        views = self._fleet.github.budgets()
        if views != self._written:
            await self._fleet.write(lambda tx: budgets.save(tx, views))
            self._written = views
        return None
