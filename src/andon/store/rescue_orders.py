"""An operator's order to rescue one job: its runner comes into doubt now, not at its deadline (R32).

It names the runner and the generation of the claim, and gives nothing up by itself: GitHub is asked, and
`rules.claim_doubt` says what follows, on the rail `rescue`.
"""

from andon.model.claim_states import ClaimState
from andon.model.journal import Entry
from andon.model.machine import Rejected
from andon.model.nouns import Claim
from andon.store.doubt import doubt
from andon.store.transaction import Tx

ACTOR = "operator"
WHY_NOT = {
    ClaimState.RESERVED: "no runner was made for it yet; without one its slot is given back within 30 s",
    ClaimState.BUSY: "GitHub says that the runner has a job: nothing is taken from a job that runs",
    ClaimState.ORPHANED: "its runner is in doubt already: GitHub is asked until it answers",
}
"""By the state of a live claim: why there is nothing to order."""


def order_rescue(tx: Tx, claim: Claim, *, reason: str, acts: bool) -> str | Rejected:
    """Gives the journal line of the order. Without `acts` (observe mode) that is all that is written."""
    if (why := WHY_NOT.get(claim.state)) is not None:
        return Rejected(claim.state.value, "rescue", why)
    (line,) = tx.record(
        Entry(
            actor=ACTOR,
            kind="claim.rescue_ordered" if acts else "claim.would_rescue",
            subject_kind="claim",
            subject_id=claim.id,
            generation=claim.generation,
            from_state=claim.state.value,
            to_state=claim.state.value,
            reason=reason,
            mode="act" if acts else "observe",
            evidence={"runner": claim.runner_name},
            job_id=claim.job_id,
            host=claim.host,
        )
    )
    if acts:
        moved = doubt(tx, claim, actor=ACTOR, reason=f"an operator ordered it: {reason}")
        if isinstance(moved, Rejected):
            return moved
    return line
