"""Keeps how the starts of a slot went, and until when it rests; each rest is journalled once (N3).

`follow` is called in the transaction that ends a claim (`claims.advance`), whoever ended it.
"""

from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, update

from andon.model.claim_states import ClaimState
from andon.model.job_states import JobStatus
from andon.model.journal import Entry
from andon.model.nouns import Claim, Slot
from andon.rules.slot_rest import Start, judge_start, rest_after
from andon.store.prepared import Prepared, Records
from andon.store.schema import jobs, slots
from andon.store.transaction import Tx

# These run with the end of every claim.
_HERE = (slots.c.host == bindparam("of_host")) & (slots.c.slot == bindparam("of_slot"))
_SLOT = Records(select(slots).where(_HERE), Slot)
_STATUS = Prepared(select(jobs.c.status).where(jobs.c.id == bindparam("job")))
_FORGET = Prepared(update(slots).where(_HERE, slots.c.failed_starts > 0).values(failed_starts=0, rests_until=None))
_KEEP = Prepared(
    update(slots).where(_HERE).values(failed_starts=bindparam("failed_starts"), rests_until=bindparam("rests_until"))
)
_NEXT_END = Prepared(
    select(func.min(slots.c.rests_until, type_=slots.c.rests_until.type)).where(
        slots.c.rests_until > bindparam("now", type_=slots.c.rests_until.type)
    )
)


def follow(tx: Tx, claim: Claim, ended: ClaimState) -> None:
    """What the end of this claim, as it stood before, means for its slot."""
    here = {"of_host": claim.host, "of_slot": claim.slot}
    if ended is ClaimState.SETTLED:
        _FORGET.run(tx.connection, **here)
        return
    if claim.state is not ClaimState.ORPHANED:
        return
    slot = _SLOT.struct(tx.connection, **here)
    if slot is None:
        return
    judged = judge_start(claim, ended, slot, _status(tx.connection, claim.job_id))
    if judged.start is Start.PROVEN:
        _FORGET.run(tx.connection, **here)
    elif judged.start is Start.FAILED:
        _count(tx, claim, slot, judged.because)


def _count(tx: Tx, claim: Claim, slot: Slot, because: str) -> None:
    failed = slot.failed_starts + 1
    rest = rest_after(failed)
    until = tx.now + rest if rest else None
    _KEEP.run(tx.connection, of_host=slot.host, of_slot=slot.slot, failed_starts=failed, rests_until=until)
    if until is None:
        return
    tx.record(
        Entry(
            actor="loop:claims",
            kind="slot.rests",
            subject_kind="slot",
            subject_id=f"{slot.host}/{slot.slot}",
            reason=f"{failed} runners in a row failed before they served a job, the last {because}; "
            f"the slot rests for {int(rest.total_seconds())} s and gets no claim until then",
            evidence={"failed_starts": failed, "until": until.isoformat(), "claim": claim.id, "pool": slot.pool},
            host=slot.host,
        )
    )


def end_rests(tx: Tx, host: str) -> None:
    """Lets the host's slots be tried again at once: somebody worked on it. What failed before still counts,
    until a runner serves."""
    tx.connection.execute(update(slots).where(slots.c.host == host).values(rests_until=None))


def next_end(connection: Connection, now: datetime) -> datetime | None:
    """When the next slot has rested."""
    return _NEXT_END.value(connection, now=now)


def _status(connection: Connection, job_id: int | None) -> JobStatus | None:
    found = _STATUS.value(connection, job=job_id) if job_id is not None else None
    return None if found is None else JobStatus(found)
