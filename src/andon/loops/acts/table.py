"""Every kind of act, and what performs it."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from andon.loops.acts.learn import learn_job, learn_run
from andon.loops.acts.mint_runner import mint_runner
from andon.loops.acts.note_would import note_would_claim
from andon.loops.acts.reclaim_slot import reclaim_slot
from andon.loops.acts.redeliver import redeliver
from andon.loops.acts.resolve_claim import resolve_claim
from andon.loops.acts.retire_runner import retire_runner
from andon.loops.fleet import Fleet
from andon.loops.lookups import Lookups
from andon.loops.removal_lookups import RemovalLookups
from andon.store.outbox import Act

# "resolve_claim" and "retire_runner" share their questions, and are bound below.
_ACTS: Mapping[str, Callable[[Fleet, Act], Awaitable[None]]] = {
    "mint_runner": mint_runner,
    "reclaim_slot": reclaim_slot,
    "redeliver": redeliver,
    "learn_job": learn_job,
    "learn_run": learn_run,
    "note_would_claim": note_would_claim,
}


def acts(fleet: Fleet) -> dict[str, Callable[[Act], Awaitable[None]]]:
    """The acts, bound to a fleet."""
    bound = {kind: partial(perform, fleet) for kind, perform in _ACTS.items()}
    return {
        **bound,
        "resolve_claim": partial(resolve_claim, fleet, lookups=Lookups(fleet)),
        "retire_runner": partial(retire_runner, fleet, lookups=RemovalLookups(fleet)),
    }
