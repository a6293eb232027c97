"""When a workspace moves on: from leased to draining, dead and the trash (R48, R50; the first promise).

Pure: what the kernel showed, what the control plane last said and how long ago things were go in; one
event of `model.workspace_states.WORKSPACES`, or the reasons for staying, come out. Never judged by age
alone while anything could still use it, by modification times or by pid files.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from andon.model.workspace_states import WORKSPACES, WorkspaceState
from andon.model.workspaces import Hold, Holder, LeaseRecord

KEPT_WHEN_FAILED = WORKSPACES.limit(WorkspaceState.DEAD)
"""A failed job's directory is evidence for so long, unless its space is needed (R50)."""
LONGEST_JOB = timedelta(days=5)
"""GitHub ends a job on a self-hosted runner after five days (github-contract.md)."""
SILENT_AFTER = LONGEST_JOB + timedelta(days=1)
"""Without a word about its run, nothing younger goes: longer than the longest job (R48)."""
_OVER = "completed"
_BY_THE_KERNEL = frozenset(set(Holder) - {Holder.RUN})


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one workspace at one look."""

    record: LeaseRecord
    holds: tuple[Hold, ...] | None
    """What can still use it; None: nobody looked, or the look failed."""
    run: str = "unknown"
    """GitHub's word on its run as the control plane passed it on."""
    up_s: float
    """Seconds since boot, now."""
    space_needed: bool = False
    """Whether it is among what must go now for the room that it takes."""


class Step(NamedTuple):
    """The event that moves it on (None: it stays), and why."""

    event: str | None
    reasons: tuple[str, ...]
    for_space: bool = False
    """It goes because its room is needed, and would stay otherwise."""


def next_step(seen: Seen) -> Step:
    """What follows for this workspace now."""
    return _NEXT[seen.record.state](seen)


def _fresh(seen: Seen) -> Step:
    if _held(seen):
        return _stays(seen)
    age = seen.up_s - seen.record.made_up_s
    if age < WORKSPACES.limit(WorkspaceState.FRESH).total_seconds():
        return Step(None, ("it was made just now, and its job has not begun",))
    return Step("abandoned", ("no job began in it",))


def _leased(seen: Seen) -> Step:
    if seen.record.ended_up_s is not None:
        return Step("job_ended", ("the job's completed hook was called",))
    if seen.holds is None or any(hold.by in (Holder.PROCESS, Holder.UNKNOWN) for hold in seen.holds):
        return _stays(seen)
    return Step("job_ended", ("the job's process is gone",))


def _draining(seen: Seen) -> Step:
    return _stays(seen) if _held(seen) else Step("proven_dead", ("no process, mount or open file is left",))


def _dead(seen: Seen) -> Step:
    if _held(seen):
        return _stays(seen)
    record = seen.record
    dead_for = seen.up_s - (record.dead_up_s or 0.0)
    if seen.run == _OVER:
        if record.failed is False:
            return Step("trashed", ("its run is over",))
        if seen.space_needed:
            return Step("trashed", ("its run is over, and its space is needed",), for_space=True)
        if dead_for >= KEPT_WHEN_FAILED.total_seconds():
            return Step("trashed", ("its run is over, and its day as evidence, too",))
        said = "its job failed" if record.failed else "whether its job failed is not known"
        return Step(None, (f"{said}: kept as evidence for a day, or until its space is needed",))
    if seen.run == "unknown":
        if dead_for >= SILENT_AFTER.total_seconds():
            return Step("trashed", ("nothing was heard of its run for longer than a job can last",))
        return Step(None, ("nothing is known of its run: nothing younger than the longest job goes",))
    return Step(None, (f"its run is {seen.run.replace('_', ' ')} at GitHub",))


def _trashed(seen: Seen) -> Step:
    return Step(None, ("it is in the trash",))


def _held(seen: Seen) -> bool:
    return seen.holds is None or any(hold.by in _BY_THE_KERNEL for hold in seen.holds)


def _stays(seen: Seen) -> Step:
    if seen.holds is None:
        return Step(None, ("who uses it could not be told at the last look",))
    return Step(None, tuple(dict.fromkeys(hold.text for hold in seen.holds)) or ("its job runs",))


_W = WorkspaceState
_NEXT = MappingProxyType(
    {_W.FRESH: _fresh, _W.LEASED: _leased, _W.DRAINING: _draining, _W.DEAD: _dead, _W.TRASHED: _trashed}
)


def may_go_for_space(record: LeaseRecord, run: str) -> bool:
    """Whether it is one of those that may go before their time."""
    return record.state is WorkspaceState.DEAD and run == _OVER


def looks_needed(records: Mapping[str, LeaseRecord], gone: frozenset[str]) -> tuple[LeaseRecord, ...]:
    """Those whose users must be looked for now: a leased one only when its process was seen to end (`gone`)."""
    return tuple(
        record
        for name, record in records.items()
        if record.state is not WorkspaceState.TRASHED
        and (record.state is not WorkspaceState.LEASED or name in gone or record.ended_up_s is not None)
    )
