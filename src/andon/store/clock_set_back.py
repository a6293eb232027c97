"""What the store forgets when our clock was set back: waits that were dated by a clock that ran ahead.

While it ran ahead, whatever was to wait a minute was dated an hour and a minute ahead; once the clock is right
again, that would wait for the hour too (limits.md 6, row 8). Nothing ends early by this: no wait becomes shorter
than its own rule allows from now on, and an act that comes early looks first.
"""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import update

from andon.model.claim_states import CLAIMS, ClaimState
from andon.model.config import Pool
from andon.model.journal import Entry
from andon.model.slot_rests import RESTS
from andon.rules.limits import registration_limit
from andon.store.pauses import LONGEST as LONGEST_PAUSE
from andon.store.pauses import LONGEST_OF_OWNER
from andon.store.schema import PENDING, claims, outbox, pauses, slots
from andon.store.transaction import Tx

LONGEST_ACT = timedelta(minutes=15)
"""How long an act may go on waiting: then it looks what is so, and waits anew by its own rule."""
_TIMED = (
    ClaimState.RESERVED,
    ClaimState.MINTED,
    ClaimState.LAUNCHED,
    ClaimState.REGISTERED,
    ClaimState.ORPHANED,
)
"""States whose deadline is ours; that of a busy claim is days ahead by right."""


def bring_near(tx: Tx, pools: Mapping[str, Pool], *, back: timedelta) -> None:
    """Brings every wait within what its rule allows from now on. `back`: how far the clock was set back."""
    run = tx.connection.execute
    pause_end, rest_end, act_end = tx.now + LONGEST_PAUSE, tx.now + RESTS[-1], tx.now + LONGEST_ACT
    run(update(pauses).where(pauses.c.until > pause_end).values(until=pause_end))
    of_owner = (pauses.c.repository == "") & (pauses.c.pool == "")
    owner_end = tx.now + LONGEST_OF_OWNER
    # Where GitHub named a longer time, the budget remembers it: nothing is sent earlier.
    run(update(pauses).where(of_owner, pauses.c.until > owner_end).values(until=owner_end))
    run(update(slots).where(slots.c.rests_until > rest_end).values(rests_until=rest_end))
    run(update(outbox).where(PENDING, outbox.c.not_before > act_end).values(not_before=act_end))
    slowest = [registration_limit(dict(pools), name, timedelta(0)) for name in pools]
    for state in _TIMED:
        end = tx.now + max(CLAIMS.limit(state), *slowest, timedelta(0))
        run(update(claims).where(claims.c.state == state.value, claims.c.deadline > end).values(deadline=end))
    tx.record(
        Entry(
            actor="loop:claims",
            kind="clock.set_back",
            subject_kind="fleet",
            subject_id="clock",
            reason=f"our clock was set back by {back.total_seconds():.0f} s; no wait is longer than its rule now",
            evidence={"seconds": round(back.total_seconds(), 1)},
        )
    )
    tx.nudges.update({"claims", "outbox", "dispatch"})
