"""What every loop works with: the store, GitHub, the configuration, time, and leadership."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from andon.github.client import GitHub, Scope
from andon.loops.check_run_ids import CheckRunIds
from andon.model.config import Config, Pool
from andon.model.rails import Rail, RailMode
from andon.rules.dispatch import Policy
from andon.rules.rails import Admission
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.store import leases, rail_gate
from andon.store.leases import Fenced, Lease
from andon.store.transaction import Store, Tx

T = TypeVar("T")


class Counter(Protocol):
    """Counts something by labels: `count("andon_claims_total", outcome="released")`."""

    def __call__(self, name: str, /, **labels: str) -> None: ...


class Fleet:
    """One fleet as this process serves it."""

    def __init__(
        self,
        *,
        config: Config,
        store: Store,
        github: GitHub,
        clock: Clock,
        log: Logger,
        fleet_id: str,
        count: Counter,
        lease: Callable[[], Lease | None],
    ) -> None:
        self.config = config
        self.store = store
        self.github = github
        self.clock = clock
        self.log = log
        self.fleet_id = fleet_id
        self.count = count
        self.lease = lease
        """The leader's lease, while this process trusts it."""
        self.check_runs = CheckRunIds()
        self.pools: Mapping[str, Pool] = {pool.name: pool for pool in config.pool}
        self.policy = Policy(
            pools=self.pools,
            max_slots={owner.login: owner.max_slots for owner in config.owner if owner.max_slots is not None},
        )
        self._organisation_wide = {owner.login.lower() for owner in config.owner if owner.runners == "organisation"}

    def mode(self, connection: Connection, rail: Rail) -> RailMode:
        """Whether acts on this rail act, are only journalled as "would", or are switched off (R31, R98)."""
        return rail_gate.mode_of(connection, rail, self.config.rails.mode)

    def admit(self, tx: Tx, rail: Rail) -> Admission:
        """Asks for one act, in the transaction that does it; `rules.rails.tell` counts it afterwards."""
        return rail_gate.admit(tx, rail, self.config.rails.mode)

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Runs `work` in a transaction that changes nothing unless this process leads (law 5).

        A leader that slept and was replaced is refused by the database, whatever it believes.
        Raises Fenced, and what the store raises.
        """
        lease = self.lease()
        if lease is None:
            raise Fenced("This control plane does not lead.")

        def fenced(tx: Tx) -> T:
            leases.check(tx, lease)
            return work(tx)

        return await self.store.write(fenced)

    def scope(self, owner: str, repository: str) -> Scope:
        """Where runners for this work are registered."""
        organisation = owner.lower() in self._organisation_wide
        return Scope(owner=owner, repository=None if organisation else repository)

    def repositories(self) -> tuple[str, ...]:
        """The repositories that the configuration names."""
        return tuple(dict.fromkeys(name for owner in self.config.owner for name in owner.repositories))
