"""Pure decisions of the agent: what an answer makes it do, and what it has to report.

Everything is a function of the folders that stand here and of the last answer, so each rule can be
tested with literals.
"""

from collections.abc import Iterable, Mapping, Set
from datetime import datetime

import msgspec

from andon.agent.claim_record import Phase
from andon.agent.held import CLAIM_NAME, Held, Life
from andon.agent.slot_table import Slot
from andon.model.host_states import Intent
from andon.model.wire import ClaimOrder, EndReport, SlotReport, SlotState, StopOrder, SyncAnswer

_PHASES = {
    Phase.STARTING: SlotState.STARTING,
    Phase.UNKNOWN: SlotState.STARTING,
    Phase.LISTENING: SlotState.LISTENING,
    Phase.RUNNING: SlotState.RUNNING,
}


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent knows when an answer arrives."""

    slots: tuple[Slot, ...]
    held: tuple[Held, ...]
    past: Set[str]
    """Claims that ended here and whose folders may be gone."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done now. Whatever is not here is left alone."""

    start: tuple[ClaimOrder, ...] = ()
    renew: tuple[ClaimOrder, ...] = ()
    """Claims that run already, now of a newer generation."""
    stop: tuple[str, ...] = ()
    """Claims whose runner is to be ended."""
    ignored: tuple[tuple[str, str], ...] = ()
    """Claims whose order changes nothing, with the reason."""


def plan(known: Known, answer: SyncAnswer, now: datetime) -> Plan:
    """What `answer` asks of this host. Safe to repeat: a second time nothing is left to do."""
    held = {one.claim.claim: one for one in known.held}
    taken = {one.claim.slot for one in known.held if one.live}
    stops = {(order.claim, order.generation) for order in answer.stop}
    start: list[ClaimOrder] = []
    renew: list[ClaimOrder] = []
    ignored: list[tuple[str, str]] = []
    generations = {claim: one.claim.generation for claim, one in held.items() if one.live}
    for order in answer.claims:
        here = held.get(order.id)
        if here is not None and here.live:
            if order.generation > here.claim.generation:
                renew.append(order)
                generations[order.id] = order.generation
            elif order.generation < here.claim.generation:
                ignored.append((order.id, "of an older generation"))
        elif reason := _not_startable(order, known, answer, taken, held, stops, now):
            ignored.append((order.id, reason))
        else:
            start.append(order)
            taken.add(order.slot)
    stop = tuple(order.claim for order in answer.stop if generations.get(order.claim) == order.generation)
    late = tuple(
        (order.claim, _why_not_stopped(order, generations)) for order in answer.stop if order.claim not in stop
    )
    return Plan(start=tuple(start), renew=tuple(renew), stop=stop, ignored=(*ignored, *late))


def _not_startable(
    order: ClaimOrder,
    known: Known,
    answer: SyncAnswer,
    taken: Set[int],
    held: Mapping[str, Held],
    stops: Set[tuple[str, int]],
    now: datetime,
) -> str | None:
    if order.id in known.past or order.id in held:
        return "ended here already"
    if not CLAIM_NAME.match(order.id):
        return "no id of ours"
    if not any(slot.number == order.slot for slot in known.slots):
        return "no such slot"
    if (order.id, order.generation) in stops:
        return "to be stopped"
    if order.slot in taken:
        return "slot is taken"
    if answer.intent.host != Intent.OPEN or answer.intent.slots.get(str(order.slot), Intent.OPEN) != Intent.OPEN:
        return "host or slot is not open"
    if order.deadline <= now:
        return "past its deadline"
    return None


def _why_not_stopped(order: StopOrder, generations: Mapping[str, int]) -> str:
    return "of another generation" if order.claim in generations else "no live runner here"


def slot_reports(known: Known, stopping: Set[str], faults: Mapping[int, str]) -> tuple[SlotReport, ...]:
    """Every slot as it stands, first the configured ones, then what lives in slots that went."""
    live = {one.claim.slot: one for one in known.held if one.live}
    out: list[SlotReport] = []
    for slot in known.slots:
        one = live.pop(slot.number, None)
        if one is not None:
            out.append(_occupied(one, stopping))
        elif slot.number in faults:
            note = faults[slot.number]
            out.append(SlotReport(slot=slot.number, pool=slot.pool, state=SlotState.UNAVAILABLE, note=note))
        else:
            out.append(SlotReport(slot=slot.number, pool=slot.pool, state=SlotState.IDLE))
    return (*out, *(_occupied(one, stopping) for one in live.values()))


def _occupied(one: Held, stopping: Set[str]) -> SlotReport:
    status = one.status
    state = SlotState.STARTING if status is None else _PHASES.get(status.phase, SlotState.RUNNING)
    notes = list(status.notes) if status is not None else []
    if one.life is Life.ALONE:
        notes.append("its shim is gone; how it ends will not be known")
    return SlotReport(
        slot=one.claim.slot,
        pool=one.claim.pool,
        state=SlotState.STOPPING if one.claim.claim in stopping else state,
        claim=one.claim.claim,
        generation=one.claim.generation,
        runner=one.claim.runner,
        pid_started_at=status.started_at if status is not None else None,
        note="; ".join(notes) or None,
    )


def end_reports(held: Iterable[Held], acknowledged: Set[str]) -> tuple[EndReport, ...]:
    """Every end that the control plane has not acknowledged yet."""
    out: list[EndReport] = []
    for one in held:
        status = one.status
        if one.life is Life.ENDED and status is not None and one.claim.claim not in acknowledged:
            out.append(
                EndReport(
                    claim=one.claim.claim,
                    generation=one.claim.generation,
                    exit=status.exit,
                    signal=status.signal,
                    tail=status.tail,
                    at=status.ended_at or one.claim.ordered_at,
                )
            )
    return tuple(out)
