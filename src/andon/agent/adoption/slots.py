"""Adopted runners as slots: what the sync carries of them, and what an answer says about them."""

import os
from pathlib import Path

import msgspec

from andon.agent.adoption.reach import owner_of
from andon.agent.adoption.records import Adoption, Stage
from andon.agent.adoption.seen import Seen
from andon.agent.slot_table import Slot
from andon.model.host_policy import HELD_BY_LABELS
from andon.model.host_states import Intent
from andon.model.wire import SlotReport, SlotState, SyncAnswer
from andon.rules.adopted_runner import ListenerVerdict
from andon.rules.slot_levers import LeverView, SlotKind


class AdoptedSlot(msgspec.Struct, frozen=True, kw_only=True):
    """One adopted runner, as those need it who make its jobs' workspaces."""

    slot: int
    runner: str
    folder: Path
    work: Path
    """Where its checkouts lie."""
    uid: int
    gid: int


class AdoptedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One adopted slot, and which protections act on it (R91)."""

    slot: int
    folder: str
    runner: str
    rules: tuple[LeverView, ...]


def adopted_slot(adoption: Adoption) -> AdoptedSlot:
    """The slot of a record."""
    return AdoptedSlot(
        slot=adoption.slot,
        runner=adoption.runner,
        folder=adoption.path,
        work=Path(adoption.work),
        uid=adoption.uid,
        gid=adoption.gid,
    )


def held_because(adoption: Adoption, seen: Seen) -> str | None:
    """Why its listener may not run; None: it may."""
    if adoption.stage is not Stage.ADOPTED:
        return None
    return "it becomes a JIT slot" if adoption.to_jit is not None else seen.held


def user_slot(adoption: Adoption) -> Slot:
    """The slot with its user alone: nothing is ever started in it by us.

    Its pool GitHub's labels tell, as long as it is to be no JIT slot.
    """
    user = owner_of(adoption.uid) if os.geteuid() != adoption.uid else None
    return Slot(number=adoption.slot, pool=adoption.to_jit or "", command=(), user=user)


def jit_slot(adoption: Adoption, pool: str) -> Slot:
    """The slot that clones the folder for each job: as the folder's owner, under the number that it had."""
    user = owner_of(adoption.uid) if os.geteuid() != adoption.uid else None
    return Slot(number=adoption.slot, pool=pool, command=(str(adoption.path / "run.sh"),), user=user)


def why_not_open(answer: SyncAnswer, slot: int) -> str | None:
    """Why the control plane wants no jobs there; None: it does. A word that only a newer one knows holds nothing."""
    own = answer.intent.slots.get(str(slot), Intent.OPEN)
    known = {str(intent) for intent in Intent if intent is not Intent.OPEN}
    for what, intent in (("the slot", own), ("the host", answer.intent.host)):
        if intent in known:
            return f"{what} is {intent}"
    return None


def held_by_labels(answer: SyncAnswer) -> frozenset[int]:
    """The slots whose listeners need not be stopped; what cannot be understood is none of them."""
    value: object = answer.policy.get(HELD_BY_LABELS)
    try:
        return frozenset(msgspec.convert(value, tuple[int, ...])) if value is not None else frozenset()
    except msgspec.ValidationError:
        return frozenset()


def slot_report(adoption: Adoption, verdict: ListenerVerdict, trouble: str | None) -> SlotReport:
    """The slot as the sync carries it."""
    notes = [note for note in (verdict.note, trouble) if note]
    return SlotReport(
        slot=adoption.slot,
        kind=SlotKind.ADOPTED.value,
        # Which pool's labels it carries, only GitHub's list of runners says.
        pool="",
        state=verdict.state,
        runner=adoption.runner,
        note="; ".join(notes) or None,
    )


def closed_report(report: SlotReport, why: str | None) -> SlotReport:
    """The same of a slot where no job should begin; who has a job goes on."""
    if why is None or report.state is not SlotState.IDLE:
        return report
    return msgspec.structs.replace(report, state=SlotState.UNAVAILABLE, note=why)
