"""Loop "hosts": who has not reported for 45 s is silent: its slots are unknown and no capacity.

Silence is evidence only while somebody could listen. After a start, a change of the leader, a time
without database, or a pause of this process, hosts are first given time to speak.
"""

from datetime import datetime, timedelta

from andon.loops.fleet import Fleet
from andon.model.host_states import SILENT_AFTER
from andon.store import disks, hosts
from andon.store.transaction import Tx

UNHEARD = timedelta(seconds=15)
"""So long after the last good pass it is not sure any more that reports could be heard."""

SLOW = timedelta(seconds=5)
"""A transaction that began so late waited for the database, and reports wait behind it."""


class HostLiveness:
    """One pass marks hosts that fell silent; their next report brings them back. Of the disks of those that report,
    and tell nothing new of them, a sample is kept all the same."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._generation: int | None = None
        """Of the lease in the last good pass."""
        self._listens_since = fleet.clock.monotonic()
        self._last = (fleet.clock.monotonic(), fleet.clock.now())
        """When the last good pass was; by both clocks, since the monotonic one may stand still while
        the machine sleeps."""

    async def run_once(self) -> float | None:
        """Marks silent hosts, once we have listened for as long as they may be silent."""
        lease = self._fleet.lease()
        if lease is None:
            return None
        monotonic, now = self._fleet.clock.monotonic(), self._fleet.clock.now()
        before, then = self._last
        unheard = monotonic - before > UNHEARD.total_seconds() or abs(now - then) > UNHEARD
        if unheard or lease.generation != self._generation:
            self._listens_since = monotonic
        if monotonic - self._listens_since >= SILENT_AFTER.total_seconds():
            for name in await self._fleet.write(lambda tx: _fall_silent(tx, now)):
                self._fleet.log.warning("host.silent", host=name)
        if await self._fleet.store.read(lambda connection: disks.samples_due(connection, now)):
            await self._fleet.write(disks.keep_samples)
        # Only now: a pass whose transaction failed is none.
        self._generation, self._last = lease.generation, (monotonic, now)
        return None


def _fall_silent(tx: Tx, asked: datetime) -> list[str]:
    """Marks who is silent. One that had to wait says nothing: the next pass looks."""
    return [] if tx.now - asked > SLOW else hosts.fall_silent(tx, tx.lease_time() - SILENT_AFTER)
