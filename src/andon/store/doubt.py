"""Puts a claim in doubt and orders the question to GitHub; nothing is given up before the answer."""

from datetime import timedelta
from typing import Any

from andon.model.claim_states import CLAIMS, ClaimEvent, ClaimState
from andon.model.machine import Rejected
from andon.model.nouns import Claim
from andon.store.claims import Change, advance
from andon.store.columns import to_micros
from andon.store.transaction import Tx


def doubt(
    tx: Tx,
    claim: Claim,
    *,
    event: ClaimEvent = ClaimEvent.DOUBTED,
    actor: str,
    reason: str,
    evidence: dict[str, Any] | None = None,
    values: dict[str, Any] | None = None,
    ask_after: timedelta = timedelta(0),
) -> Claim | Rejected:
    """Makes the claim orphaned and asks GitHub about its job and runner."""
    moved = advance(
        tx,
        claim,
        Change(
            event=event,
            actor=actor,
            reason=reason,
            evidence=evidence or {},
            deadline=tx.now + CLAIMS.limit(ClaimState.ORPHANED),
            values=values or {},
        ),
    )
    if not isinstance(moved, Rejected):
        ask(tx, moved, delay=ask_after)
    return moved


def ask(tx: Tx, claim: Claim, *, delay: timedelta = timedelta(0)) -> None:
    """Orders the question that settles a claim in doubt; once for each time it came into doubt."""
    tx.order(
        "resolve_claim",
        key=f"resolve:{claim.id}:{to_micros(claim.since)}:{to_micros(tx.now)}",
        subject=claim.id,
        generation=claim.generation,
        payload={"owner": claim.owner, "repository": claim.repository},
        delay=delay,
    )
