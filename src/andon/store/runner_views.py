"""Runners as people see them: GitHub's list, the process and the heartbeat joined by one table (R35).

Every runner of a live claim is shown, and every registration that GitHub listed lately without one,
unless its claim was over only after that list was read.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from andon.model.api import RunnerView
from andon.model.claim_states import LIVE, ClaimState
from andon.model.host_states import HostObserved
from andon.model.nouns import Claim, Host, Registration, Slot
from andon.model.wire import SlotState
from andon.rules.adopted_slots import KIND
from andon.rules.liveness import GitHubView, Heartbeat, ProcessView, Verdict, judge, judge_adopted
from andon.store import adopted_slots, claims, hosts, registrations

READ_LATELY = adopted_slots.READ_LATELY
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


class JoinedRunner(msgspec.Struct, frozen=True, kw_only=True):
    """One runner: what each side says of it, and what that gives together."""

    name: str
    runner_id: int | None
    github: GitHubView
    github_told_at: datetime | None
    """None: it was not read lately."""
    process: ProcessView
    heartbeat: Heartbeat
    verdict: Verdict
    claim: Claim | None
    """What it was made for, live or over."""
    adopted: Slot | None = None
    """The slot of a persistent runner: nothing of ours was made for it."""

    def view(self) -> RunnerView:
        """As the API gives it, whose process only lives or not."""
        place = self.claim or self.adopted
        told = self.process in (ProcessView.GONE, ProcessView.UNKNOWN)
        return RunnerView(
            id=self.runner_id,
            name=self.name,
            github=(GitHubView.ONLINE if self.github is GitHubView.BUSY else self.github).value,
            busy=None if self.github is GitHubView.UNKNOWN else self.github is GitHubView.BUSY,
            process=self.process.value if told else "alive",
            heartbeat=self.heartbeat.value,
            verdict=self.verdict.name,
            host=place.host if place is not None else None,
            slot=place.slot if place is not None else None,
        )


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    hosts: dict[str, Host]
    slots: dict[tuple[str, int], Slot]
    now: datetime


def runner_views(connection: Connection, now: datetime) -> list[RunnerView]:
    """Every runner of ours, those of live claims first."""
    listed = registrations.all_registrations(connection)
    live = claims.live_claims(connection)
    known = _known(hosts.all_hosts(connection), hosts.all_slots(connection), now)
    adopted = _adopted(connection, known)
    others = {name: each for name, each in listed.items() if name not in {one.name for one in adopted}}
    return [each.view() for each in (*_joined(connection, live, others, known), *adopted)]


def runners_of_host(connection: Connection, name: str, now: datetime) -> list[JoinedRunner]:
    """The runners of one host, those of live claims first."""
    listed = registrations.registrations_on(connection, name)
    live = claims.live_claims(connection, host=name)
    known = _known_of(connection, name, now)
    return _joined(connection, live, listed, known) + _adopted(connection, known)


def runner_of_claim(connection: Connection, claim: Claim, now: datetime) -> JoinedRunner | None:
    """The runner of a live claim, or None: it has none yet, or it is over."""
    if not _has_runner(claim):
        return None
    listed = registrations.registration_of(connection, claim.runner_name)
    return _join(claim.runner_name, claim, listed, _known_of(connection, claim.host, now))


def _known(of_hosts: Sequence[Host], of_slots: Sequence[Slot], now: datetime) -> _Known:
    return _Known(
        hosts={host.name: host for host in of_hosts}, slots={(slot.host, slot.slot): slot for slot in of_slots}, now=now
    )


def _known_of(connection: Connection, name: str, now: datetime) -> _Known:
    host = hosts.get_host(connection, name)
    return _known([host] if host is not None else [], hosts.all_slots(connection, host=name), now)


def _has_runner(claim: Claim) -> bool:
    return claim.state in LIVE and claim.state is not ClaimState.RESERVED


def _joined(
    connection: Connection, live: Sequence[Claim], listed: dict[str, Registration], known: _Known
) -> list[JoinedRunner]:
    made = [claim for claim in live if _has_runner(claim)]
    shown = {claim.runner_name for claim in made}
    left = [each for name, each in listed.items() if name not in shown and known.now - each.read_at <= READ_LATELY]
    behind = registrations.claims_behind(connection, [each.name for each in left])
    of_live = [_join(claim.runner_name, claim, listed.get(claim.runner_name), known) for claim in made]
    return of_live + [
        _join(each.name, behind.get(each.name), each, known)
        for each in left
        if not _over_since_it_was_read(each, behind.get(each.name), known)
    ]


_OF_ADOPTED = {
    **_PROCESSES,
    # Its listener lives between jobs.
    SlotState.IDLE.value: ProcessView.LISTENING,
    SlotState.UNAVAILABLE.value: ProcessView.GONE,
}


def _adopted(connection: Connection, known: _Known) -> list[JoinedRunner]:
    """The runners of adopted slots."""
    here = [slot for slot in known.slots.values() if slot.kind == KIND and slot.runner]
    listed = adopted_slots.registrations_of(connection, here)
    return [_join_adopted(slot, listed.get(slot.runner or ""), known) for slot in here]


def _join_adopted(slot: Slot, listed: Registration | None, known: _Known) -> JoinedRunner:
    host = known.hosts.get(slot.host)
    heartbeat = _HEARTBEATS[host.observed] if host is not None else Heartbeat.UNKNOWN
    fresh = heartbeat is Heartbeat.FRESH
    process = _OF_ADOPTED.get(slot.state, ProcessView.UNKNOWN) if fresh else ProcessView.UNKNOWN
    github = adopted_slots.github_view(slot, listed, known.now)
    return JoinedRunner(
        name=slot.runner or "",
        runner_id=listed.runner_id if listed is not None else None,
        github=github,
        github_told_at=listed.read_at if listed is not None and github is not GitHubView.UNKNOWN else None,
        process=process,
        heartbeat=heartbeat,
        verdict=judge_adopted(github, process, heartbeat),
        claim=None,
        adopted=slot,
    )


def _over_since_it_was_read(listed: Registration, claim: Claim | None, known: _Known) -> bool:
    """Its claim was over only after the list that has it, and no process shows: nothing says that it is still there."""
    if claim is None or claim.state in LIVE or listed.read_at > claim.since:
        return False
    heartbeat = _heartbeat(claim, known)
    return _process(listed.name, claim, heartbeat, known) is ProcessView.GONE


def _heartbeat(claim: Claim | None, known: _Known) -> Heartbeat:
    host = known.hosts.get(claim.host) if claim is not None else None
    return _HEARTBEATS[host.observed] if host is not None else Heartbeat.UNKNOWN


def _join(name: str, claim: Claim | None, listed: Registration | None, known: _Known) -> JoinedRunner:
    heartbeat = _heartbeat(claim, known)
    github, told_at = _github(claim, listed, known.now)
    process = _process(name, claim, heartbeat, known)
    return JoinedRunner(
        name=name,
        runner_id=claim.runner_id if claim is not None else listed.runner_id if listed is not None else None,
        github=github,
        github_told_at=told_at,
        process=process,
        heartbeat=heartbeat,
        verdict=judge(github, process, heartbeat),
        claim=claim,
    )


def _github(claim: Claim | None, listed: Registration | None, now: datetime) -> tuple[GitHubView, datetime | None]:
    """The newest of what GitHub told, and when: its list, its word on a job, or that it let the runner listen."""
    lately = listed if listed is not None and now - listed.read_at <= READ_LATELY else None
    told = claim is not None and claim.state in (ClaimState.REGISTERED, ClaimState.BUSY)
    if claim is not None and told and (lately is None or lately.read_at <= claim.since):
        return (GitHubView.BUSY if claim.state is ClaimState.BUSY else GitHubView.ONLINE), claim.since
    if lately is None:
        return GitHubView.UNKNOWN, None
    return (GitHubView.BUSY if lately.busy else GitHubView(lately.status)), lately.read_at


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
