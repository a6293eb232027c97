"""Takes one workspace away by the guard's protocol, under one lock hold: look, intent, rename, end of the lease (R49).

Steps 1 to 3 and 6 are the lease table's, step 4 the evidence's, step 5 the trash's (see `agent.leases`); before the
rename the deletion journal says what is about to happen, and after it what did.
"""

import asyncio
from collections.abc import Callable

from andon.agent.disk.journal import DeletionJournal, JournalUnusable
from andon.agent.leases.evidence import Evidence
from andon.agent.leases.table import LeaseHeld, LeaseTable
from andon.model.disk import Deletion, PathClass
from andon.model.workspaces import Hold, Holder, LeaseRecord
from andon.runtime.clock import Clock

PutAside = Callable[[LeaseRecord, str], str | None]
"""Renames the directory of a record into the trash of its filesystem, as the given name.

Returns the sentence that forbids it, or None when it went; raises FileNotFoundError when it is gone already, OSError.
"""


class LeasedRemover:
    """`size_of` gives the bytes that a workspace took when it was measured; `nonce` ten characters that nobody had."""

    def __init__(
        self,
        table: LeaseTable,
        evidence: Evidence,
        put_aside: PutAside,
        journal: DeletionJournal,
        *,
        size_of: Callable[[LeaseRecord], int | None],
        nonce: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._table, self._evidence, self._put_aside, self._journal = table, evidence, put_aside, journal
        self._size_of, self._nonce, self._clock = size_of, nonce, clock

    async def take_away(self, record: LeaseRecord, actor: str, reason: str) -> Hold | None:
        """What forbade it, if something did: then all is as before."""
        try:
            with self._table.try_exclusive(record.id):
                found = await self._evidence.holds((record,), self._table.lock_files())
                if record.id not in found:
                    return Hold(by=Holder.UNKNOWN, text="Nobody could look whether something uses it.")
                if found[record.id]:
                    return found[record.id][0]
                return await self._rename(record, actor, reason)
        except LeaseHeld as held:
            return held.hold
        except JournalUnusable as error:
            return Hold(by=Holder.UNKNOWN, text=f"{error}: what cannot be written down is not deleted.")
        except OSError as error:
            return Hold(by=Holder.UNKNOWN, text=f"It could not be moved into the trash ({error.strerror or error}).")

    async def _rename(self, record: LeaseRecord, actor: str, reason: str) -> Hold | None:
        deletion = Deletion(
            id=f"del_{self._nonce()}",
            at=self._clock.now(),
            path=record.path,
            path_class=PathClass.DEAD.value,
            actor=actor,
            reason=reason,
            bytes=self._size_of(record),
            lease=record.id,
        )
        trash_name = f"{record.id}.{self._nonce()}"
        self._journal.begin(deletion, trash_name)
        try:
            # Not to be left in the middle: the rename is done, or it is not.
            forbidden = await asyncio.shield(asyncio.to_thread(self._put_aside, record, trash_name))
        except FileNotFoundError:
            self._journal.taken_back(deletion.id)
            self._table.drop(record.id)
            return None
        except OSError:
            self._journal.taken_back(deletion.id)
            raise
        if forbidden is not None:
            self._journal.taken_back(deletion.id)
            return Hold(by=Holder.UNKNOWN, text=forbidden)
        self._journal.moved(deletion.id)
        self._table.drop(record.id)
        return None
