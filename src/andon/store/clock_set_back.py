"""Waits that were dated by a clock that ran ahead are brought near once a right clock counts again.

While it ran ahead, whatever was to wait a minute was dated an hour and a minute ahead; once it is set back, or
somebody leads whose clock is right, that would wait for the hour too (limits.md 6, row 8). Nothing ends early by
this: no wait becomes shorter than its own rule allows from now on, and an act that comes early looks first.
"""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import Update, select, update

from andon.model.claim_states import CLAIMS, ClaimState
from andon.model.config import Pool
from andon.model.job_states import JobStatus
from andon.model.journal import Entry
from andon.model.slot_rests import RESTS
from andon.rules.limits import AFTER_THE_JOB, registration_limit
from andon.store.pauses import LONGEST as LONGEST_PAUSE
from andon.store.pauses import LONGEST_OF_OWNER
from andon.store.schema import PENDING, claims, jobs, outbox, pauses, slots
from andon.store.transaction import Tx

LONGEST_ACT = timedelta(minutes=2)
"""How long an act may go on waiting that our own clock dated: then it looks what is so, and waits anew by its rule.
Much less than the 15 min in which everything has to be settled: what waits may hold every slot that there is."""
_TIMED = (
    ClaimState.RESERVED,
    ClaimState.MINTED,
    ClaimState.LAUNCHED,
    ClaimState.REGISTERED,
    ClaimState.ORPHANED,
)
"""States whose deadline is ours; that of a busy claim is days ahead by right, until its job is over."""


def bring_near(tx: Tx, pools: Mapping[str, Pool], *, was_ahead: bool) -> int:
    """Brings every wait within what its rule allows from now on; counts those that were beyond it. `was_ahead`: it
    is our own clock that was, not perhaps that of whoever led before."""

    def run(statement: Update) -> int:
        return tx.connection.execute(statement).rowcount

    now = tx.now
    of_owner = (pauses.c.repository == "") & (pauses.c.pool == "")
    # Where GitHub named a longer time, the budget remembers it: nothing is sent earlier.
    owner_end, pause_end, rest_end = now + LONGEST_OF_OWNER, now + LONGEST_PAUSE, now + RESTS[-1]
    act_end, job_end = now + LONGEST_ACT, now + AFTER_THE_JOB
    brought = run(update(pauses).where(of_owner, pauses.c.until > owner_end).values(until=owner_end))
    brought += run(update(pauses).where(pauses.c.until > pause_end).values(until=pause_end))
    brought += run(update(slots).where(slots.c.rests_until > rest_end).values(rests_until=rest_end))
    if was_ahead:
        # Some rules have an act wait for hours: without need that is not cut short.
        brought += run(update(outbox).where(PENDING, outbox.c.not_before > act_end).values(not_before=act_end))
    slowest = max((registration_limit(dict(pools), name, timedelta(0)) for name in pools), default=timedelta(0))
    for state in _TIMED:
        end = now + max(CLAIMS.limit(state), slowest)
        brought += run(
            update(claims).where(claims.c.state == state.value, claims.c.deadline > end).values(deadline=end)
        )
    over = select(jobs.c.id).where(jobs.c.id == claims.c.job_id, jobs.c.status == JobStatus.COMPLETED.value).exists()
    busy = claims.c.state == ClaimState.BUSY.value
    brought += run(update(claims).where(busy, over, claims.c.deadline > job_end).values(deadline=job_end))
    if brought:
        tx.record(
            Entry(
                actor="loop:claims",
                kind="clock.set_back",
                subject_kind="fleet",
                subject_id="clock",
                reason="the clock that dated some waits was ahead of ours; none is longer than its rule now",
                evidence={"waits": brought},
            )
        )
        tx.nudges.update({"claims", "outbox", "dispatch"})
    return brought
