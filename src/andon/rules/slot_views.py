"""One word for a slot, from what the agent reports, what we intend, and the claim that holds it."""

from datetime import datetime

from andon.model.claim_states import ClaimState
from andon.model.host_states import HostObserved, Intent
from andon.model.nouns import Claim, Host, Slot
from andon.model.wire import SlotState
from andon.rules.adopted_slots import KIND, AdoptedFact, adopted_state, not_online
from andon.rules.slot_rest import rests


def slot_state(slot: Slot, host: Host, claim: Claim | None, now: datetime, adopted: AdoptedFact | None = None) -> str:
    """idle, starting, running, draining, quarantined, unavailable or unknown (interfaces.md section 6).

    A host that does not report says nothing about its slots: unknown, not idle and not down (R35,
    R38). `adopted`: what GitHub says of an adopted slot's runner; without it that is unknown.
    """
    if slot.kind == KIND:
        return adopted_state(slot, host, adopted or AdoptedFact(), now)
    if host.observed is not HostObserved.REPORTING:
        return "unknown"
    if slot.state == SlotState.UNAVAILABLE.value:
        return "unavailable"
    if claim is not None and claim.state is ClaimState.BUSY:
        return "running"
    if slot.state == SlotState.UNKNOWN.value:
        return "unknown"
    if slot.state == SlotState.RUNNING.value:
        return "running"
    if claim is not None or slot.state in (SlotState.STARTING.value, SlotState.LISTENING.value):
        return "starting"
    if slot.state == SlotState.STOPPING.value:
        return "draining"
    if Intent.QUARANTINED in (slot.intent, host.intent):
        return "quarantined"
    if Intent.DRAINING in (slot.intent, host.intent):
        return "draining"
    if Intent.CORDONED in (slot.intent, host.intent):
        # Nothing is wrong with it, and yet it is no capacity; the intent says why.
        return "unavailable"
    if rests(slot, now):
        # It has to prove first that it can take a job; its note says until when it rests.
        return "unavailable"
    return "idle"


def closed_by(slot: Slot, host: Host | None, now: datetime, adopted: AdoptedFact | None = None) -> str | None:
    """What keeps a slot from taking work at all; None: it is open, whether it is taken or not.

    `adopted`: as for `slot_state`; without it GitHub's view of an adopted slot is left aside.
    """
    if host is None or host.observed is not HostObserved.REPORTING:
        return "silent"
    if slot.state == SlotState.UNAVAILABLE.value:
        return "unavailable"
    if slot.state == SlotState.UNKNOWN.value and slot.claim is None:
        return "in a state that only a newer version knows"
    for intent in (Intent.QUARANTINED, Intent.DRAINING, Intent.CORDONED):
        if intent in (slot.intent, host.intent):
            return intent.value
    if rests(slot, now):
        return "resting"
    return not_online(slot, adopted) if slot.kind == KIND and adopted is not None else None
