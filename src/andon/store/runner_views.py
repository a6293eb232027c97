"""Runners as people see them: GitHub's list, the process and the heartbeat joined by one table (R35).

Every runner of a live claim is shown, and every registration that GitHub listed lately without one,
unless its claim was over only after that list was read.
"""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from andon.model.api import RunnerView
from andon.model.claim_states import LIVE, ClaimState
from andon.model.host_states import HostObserved
from andon.model.nouns import Claim, Host, Registration, Slot
from andon.model.wire import SlotState
from andon.rules.liveness import GitHubView, Heartbeat, ProcessView, judge
from andon.store import claims, hosts, registrations

READ_LATELY = timedelta(minutes=15)
"""A list that was read longer ago says nothing of now."""
_PROCESSES = {
    SlotState.STARTING.value: ProcessView.STARTING,
    SlotState.LISTENING.value: ProcessView.LISTENING,
    SlotState.RUNNING.value: ProcessView.RUNNING,
    SlotState.STOPPING.value: ProcessView.STOPPING,
}
_HEARTBEATS = {
    HostObserved.REPORTING: Heartbeat.FRESH,
    HostObserved.SILENT: Heartbeat.STALE,
    HostObserved.UNKNOWN: Heartbeat.UNKNOWN,
}


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    hosts: dict[str, Host]
    slots: dict[tuple[str, int], Slot]
    now: datetime


def runner_views(connection: Connection, now: datetime) -> list[RunnerView]:
    """Every runner of ours, those of live claims first."""
    known = _Known(
        hosts={host.name: host for host in hosts.all_hosts(connection)},
        slots={(slot.host, slot.slot): slot for slot in hosts.all_slots(connection)},
        now=now,
    )
    listed = registrations.all_registrations(connection)
    live = [claim for claim in claims.live_claims(connection) if claim.state is not ClaimState.RESERVED]
    views = [_view(claim.runner_name, claim, listed.get(claim.runner_name), known) for claim in live]
    shown = {claim.runner_name for claim in live}
    left = [each for name, each in listed.items() if name not in shown and now - each.read_at <= READ_LATELY]
    behind = registrations.claims_behind(connection, [each.name for each in left])
    return views + [
        _view(each.name, behind.get(each.name), each, known)
        for each in left
        if not _over_since_it_was_read(each, behind.get(each.name), known)
    ]


def _over_since_it_was_read(listed: Registration, claim: Claim | None, known: _Known) -> bool:
    """Its claim was over only after the list that has it, and no process shows: nothing says that it is still there."""
    if claim is None or claim.state in LIVE or listed.read_at > claim.since:
        return False
    heartbeat = _heartbeat(claim, known)
    return _process(listed.name, claim, heartbeat, known) is ProcessView.GONE


def _heartbeat(claim: Claim | None, known: _Known) -> Heartbeat:
    host = known.hosts.get(claim.host) if claim is not None else None
    return _HEARTBEATS[host.observed] if host is not None else Heartbeat.UNKNOWN


def _view(name: str, claim: Claim | None, listed: Registration | None, known: _Known) -> RunnerView:
    heartbeat = _heartbeat(claim, known)
    github, process = _github(claim, listed, known.now), _process(name, claim, heartbeat, known)
    return RunnerView(
        id=claim.runner_id if claim is not None else listed.runner_id if listed is not None else None,
        name=name,
        github=GitHubView.ONLINE.value if github is GitHubView.BUSY else github.value,
        busy=None if github is GitHubView.UNKNOWN else github is GitHubView.BUSY,
        process=process.value if process in (ProcessView.GONE, ProcessView.UNKNOWN) else "alive",
        heartbeat=heartbeat.value,
        verdict=judge(github, process, heartbeat).name,
        host=claim.host if claim is not None else None,
        slot=claim.slot if claim is not None else None,
    )


def _github(claim: Claim | None, listed: Registration | None, now: datetime) -> GitHubView:
    """The newest of what GitHub told: its list, its word on a job, or that it let the runner listen."""
    lately = listed if listed is not None and now - listed.read_at <= READ_LATELY else None
    told = claim is not None and claim.state in (ClaimState.REGISTERED, ClaimState.BUSY)
    if claim is not None and told and (lately is None or lately.read_at <= claim.since):
        return GitHubView.BUSY if claim.state is ClaimState.BUSY else GitHubView.ONLINE
    if lately is None:
        return GitHubView.UNKNOWN
    return GitHubView.BUSY if lately.busy else GitHubView(lately.status)


def _process(name: str, claim: Claim | None, heartbeat: Heartbeat, known: _Known) -> ProcessView:
    """What was reported; of a claim that is over, a process that no host's last report shows is gone."""
    if claim is not None and claim.ended_at is not None:
        return ProcessView.GONE
    if claim is None or claim.state not in LIVE:
        alive = any(slot.runner == name and slot.state != SlotState.IDLE.value for slot in known.slots.values())
        return ProcessView.UNKNOWN if alive else ProcessView.GONE
    slot = known.slots.get((claim.host, claim.slot))
    if heartbeat is not Heartbeat.FRESH or slot is None or slot.claim != claim.id:
        return ProcessView.UNKNOWN
    return _PROCESSES.get(slot.state, ProcessView.UNKNOWN)
