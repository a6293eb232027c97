"""Loop "leadership": keeps the lease that lets this process decide and act (design.md section 7).

The lease is trusted for less time than it lasts, by the local monotonic clock: a process that was
paused finds its trust run out before the database's clock would let another one in.
"""

import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec

from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.store import leases
from andon.store.leases import Lease
from andon.store.transaction import Store


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How long a lease lasts in the database, how long its holder trusts it, and how often it is renewed."""

    lasts: timedelta = timedelta(seconds=15)
    trusted: timedelta = timedelta(seconds=10)
    renew_s: float = 4.0


TERMS = Terms()
LEADER = "leadership"
"""The lease's name, and the loop's: whoever gives it back wakes that loop everywhere."""


class Leadership:
    """Takes and renews the lease; `lease()` is None while another process leads."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        log: Logger,
        *,
        holder: str,
        alone: bool,
        terms: Terms = TERMS,
        before_leading: Callable[[], Awaitable[None]] | None = None,
        leads_now: Callable[[], None] = lambda: None,
    ) -> None:
        """Each time this process takes the lead: `before_leading` before anybody acts on it, then `leads_now`."""
        self._before_leading, self._leads_now = before_leading, leads_now
        self._terms = terms
        self._store = store
        self._clock = clock
        self._log = log
        self._holder = holder
        self._alone = alone
        self._lease: Lease | None = None
        self._led: int | None = None
        """The generation of the last term of this process."""
        self._trusted_until = 0.0
        self._answered_until = 0.0

    def answered(self) -> bool:
        """Whether the database said lately who leads."""
        return self._clock.monotonic() < self._answered_until

    def lease(self) -> Lease | None:
        """The lease, while it can be trusted."""
        return self._lease if self._clock.monotonic() < self._trusted_until else None

    def distrust(self) -> None:
        """The database said that the lease is over, which our own clock had not noticed: after a sleep of the
        whole machine, say. Nobody acts on it until it was taken again."""
        self._lease = None
        self._trusted_until = 0.0

    async def give_back(self) -> None:
        """Lets the next one lead at once; what goes wrong here costs the lease's time and no more."""
        held, self._lease = self._lease, None
        self._trusted_until = 0.0
        if held is not None:
            with contextlib.suppress(Exception):
                await self._store.write(lambda tx: leases.give_back(tx, held))

    async def run_once(self) -> float | None:
        """Renews; the trust counts from before the question, so a slow answer only shortens it."""
        asked = self._clock.monotonic()
        held = await self._store.write(
            lambda tx: leases.take(tx, LEADER, self._holder, lasts=self._terms.lasts, alone=self._alone)
        )
        if (held is None) != (self._lease is None) or (
            held is not None and self._lease is not None and held.generation != self._lease.generation
        ):
            self._log.info("leadership.changed", leads=held is not None, generation=held.generation if held else None)
        taken = held is not None and (self._lease is None or held.generation != self._lease.generation)
        # The same term taken up again brings nothing that we did not know better ourselves.
        if held is not None and held.generation != self._led and self._before_leading is not None:
            await self._before_leading()
            self._led = held.generation
        self._lease = held
        self._answered_until = asked + self._terms.lasts.total_seconds()
        if held is not None:
            self._trusted_until = asked + self._terms.trusted.total_seconds()
        if taken:
            self._leads_now()
        return None
