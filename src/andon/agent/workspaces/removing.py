"""Takes workspaces away by the guard's protocol: under one lock hold each a look, an intent, a rename, the lease's end
(R49).

Steps 1 to 3 and 6 are the lease table's, step 4 the evidence's, step 5 the trash's (see `agent.leases`); before the
rename the deletion journal says what is about to happen, and after it what did. The look is one for all that go in one
pass: on a host with many processes it costs more than everything else (host-facts.md 1.5). It comes after the last of
their locks was had, so that whoever has begun before is found, and whoever begins after it finds the lock held.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from andon.agent.disk.journal import DeletionJournal, JournalUnusable
from andon.agent.leases.evidence import Evidence
from andon.agent.leases.table import LeaseHeld, LeaseTable
from andon.agent.workspaces.parts import ToGo
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

    async def take_away(self, going: tuple[ToGo, ...]) -> Mapping[str, Hold | None]:
        """What forbade it, for each where something did: then all is as before."""
        out: dict[str, Hold | None] = {}
        alone: list[tuple[ToGo, contextlib.ExitStack]] = []
        with contextlib.ExitStack() as all_locks:
            for one in going:
                # Each lock of its own: it is let go as soon as its workspace is gone, or is seen to stay.
                lock = all_locks.enter_context(contextlib.ExitStack())
                try:
                    lock.enter_context(self._table.try_exclusive(one.record.id))
                except LeaseHeld as held:
                    out[one.record.id] = held.hold
                except OSError as error:
                    out[one.record.id] = _unmoved(error)
                else:
                    alone.append((one, lock))
            if alone:
                records = tuple(one.record for one, _ in alone)
                found = await self._evidence.holds(records, self._table.lock_files())
                out |= {record.id: _first(found, record.id) for record in records}
            for one, lock in alone:
                if out[one.record.id] is not None:
                    lock.close()
            for one, lock in alone:
                if out[one.record.id] is None:
                    out[one.record.id] = await self._go(one)
                    lock.close()
        return out

    async def _go(self, one: ToGo) -> Hold | None:
        try:
            return await self._rename(one.record, one.actor, one.reason)
        except JournalUnusable as error:
            return Hold(by=Holder.UNKNOWN, text=f"{error}: what cannot be written down is not deleted.")
        except OSError as error:
            return _unmoved(error)

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
            forbidden = await _to_its_end(asyncio.to_thread(self._put_aside, record, trash_name))
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


async def _to_its_end(moving: Coroutine[Any, Any, str | None]) -> str | None:
    """Not to be left in the middle: the rename is done, or it is not, before the lock is let go."""
    whole = asyncio.ensure_future(moving)
    try:
        return await asyncio.shield(whole)
    except asyncio.CancelledError:
        await asyncio.wait({whole})
        raise


def _first(found: Mapping[str, tuple[Hold, ...]], id: str) -> Hold | None:
    if id not in found:
        return Hold(by=Holder.UNKNOWN, text="Nobody could look whether something uses it.")
    return next(iter(found[id]), None)


def _unmoved(error: OSError) -> Hold:
    return Hold(by=Holder.UNKNOWN, text=f"It could not be moved into the trash ({error.strerror or error}).")
