"""Takes one workspace away by the guard's protocol: lock, look, rename, end of the lease, under one lock hold (R49).

Steps 1 to 3 and 6 are the lease table's, step 4 the evidence's, step 5 the trash's (see `agent.leases`).
"""

import asyncio
from collections.abc import Callable

from andon.agent.leases.evidence import Evidence
from andon.agent.leases.table import LeaseHeld, LeaseTable
from andon.model.workspaces import Hold, Holder, LeaseRecord


class LeasedRemover:
    """`put_aside` renames the directory of a record into the trash of its filesystem.

    It returns the sentence that forbids it, or None when it went or is gone already; it raises OSError.
    """

    def __init__(self, table: LeaseTable, evidence: Evidence, put_aside: Callable[[LeaseRecord], str | None]) -> None:
        self._table, self._evidence, self._put_aside = table, evidence, put_aside

    async def take_away(self, record: LeaseRecord) -> Hold | None:
        """What forbade it, if something did: then all is as before."""
        try:
            with self._table.try_exclusive(record.id):
                found = await self._evidence.holds((record,), self._table.lock_files())
                if record.id not in found:
                    return Hold(by=Holder.UNKNOWN, text="Nobody could look whether something uses it.")
                if found[record.id]:
                    return found[record.id][0]
                # Not to be left in the middle: the rename is done, or it is not.
                forbidden = await asyncio.shield(asyncio.to_thread(self._put_aside, record))
                if forbidden is not None:
                    return Hold(by=Holder.UNKNOWN, text=forbidden)
                self._table.drop(record.id)
                return None
        except LeaseHeld as held:
            return held.hold
        except OSError as error:
            return Hold(by=Holder.UNKNOWN, text=f"It could not be moved into the trash ({error.strerror or error}).")
