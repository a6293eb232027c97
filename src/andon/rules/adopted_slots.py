"""Adopted slots as capacity: a persistent runner takes work by itself, so nothing is minted for what it will take.

The oldest jobs that fit are left to runners that stand idle (interfaces.md section 3), each for `TAKES_WITHIN` at most:
then a runner is minted as usual, and the one that let the job lie is not counted on for a while. No claim is ever made
on an adopted slot: which job it takes is GitHub's choice.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from andon.model.config import Pool
from andon.model.host_states import HostObserved, Intent
from andon.model.nouns import Host, Slot
from andon.model.wire import SlotState
from andon.rules.liveness import GitHubView
from andon.rules.slot_rest import rests

KIND = "adopted"
TAKES_WITHIN = timedelta(seconds=30)
"""GitHub gives a queued job to an idle runner within seconds; what lies longer is not left to it."""
RESTS: tuple[timedelta, ...] = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
"""How long a runner that let a job lie is not counted on, by how often that happened in a row."""
_ALIVE = (SlotState.IDLE.value, SlotState.LISTENING.value)
"""Its listener lives and no job process does."""


class Taker(msgspec.Struct, frozen=True, kw_only=True):
    """An adopted slot whose runner stands idle: its host says so, and GitHub calls it online."""

    host: str
    slot: int
    pool: str
    runner: str
    owner: str
    repository: str
    """Where it is registered; empty: at the organisation."""
    idle_since: datetime


class WorkToLeave(msgspec.Struct, frozen=True, kw_only=True):
    """A waiting job, as far as a taker cares."""

    pool: str
    owner: str
    repository: str
    queued_at: datetime


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the takers say of one job: left to one until `until`, or that one let it lie."""

    taker: Taker
    until: datetime

    def left(self, now: datetime) -> bool:
        """Whether the job is still left to it."""
        return now < self.until


class Takers:
    """The takers of a round, each counted for one job; those that are idle longest first."""

    def __init__(self, takers: Sequence[Taker]) -> None:
        self._free = sorted(takers, key=_longest_idle)

    def ask(self, job: WorkToLeave) -> Answer | None:
        """The taker that should take this job, and until when; None: none fits that is not counted already."""
        taker = next((each for each in self._free if _can_take(each, job)), None)
        if taker is None:
            return None
        self._free.remove(taker)
        return Answer(taker=taker, until=max(job.queued_at, taker.idle_since) + TAKES_WITHIN)


def _longest_idle(taker: Taker) -> tuple[datetime, str, int]:
    return taker.idle_since, taker.host, taker.slot


def _can_take(taker: Taker, job: WorkToLeave) -> bool:
    if taker.pool != job.pool or taker.owner.lower() != job.owner.lower():
        return False
    return taker.repository == "" or taker.repository.lower() == job.repository.lower()


def rest_of(times: int) -> timedelta:
    """How long a runner is not counted on that let a job lie for the n-th time in a row."""
    return RESTS[min(max(times, 1), len(RESTS)) - 1]


def pool_of_runner(labels: Sequence[str], pools: Sequence[Pool]) -> str | None:
    """The first pool in file order whose labels the runner all carries, whatever their case; None: none."""
    carried = {label.lower() for label in labels}
    return next((pool.name for pool in pools if {label.lower() for label in pool.labels} <= carried), None)


class AdoptedFact(msgspec.Struct, frozen=True, kw_only=True):
    """What GitHub says of an adopted slot's runner."""

    github: GitHubView = GitHubView.UNKNOWN
    """BUSY only where its list was read after the slot came to stand idle."""
    job: int | None = None
    """The job in progress on it."""


def adopted_state(slot: Slot, host: Host, fact: AdoptedFact, now: datetime) -> str:
    """The word for an adopted slot, of those of `rules.slot_views.slot_state`.

    Idle only while its listener lives and GitHub calls it online: what has not proven that it can take a job is no
    capacity (R38).
    """
    if host.observed is not HostObserved.REPORTING:
        return "unknown"
    if slot.state == SlotState.UNAVAILABLE.value:
        return "unavailable"
    if fact.job is not None or slot.state == SlotState.RUNNING.value:
        return "running"
    if slot.state == SlotState.STARTING.value:
        return "starting"
    if slot.state == SlotState.STOPPING.value:
        return "draining"
    if slot.state not in _ALIVE:
        return "unknown"
    if Intent.QUARANTINED in (slot.intent, host.intent):
        return "quarantined"
    if Intent.DRAINING in (slot.intent, host.intent):
        return "draining"
    if Intent.CORDONED in (slot.intent, host.intent) or rests(slot, now):
        return "unavailable"
    return _OF_GITHUB[fact.github]


_OF_GITHUB = {
    GitHubView.ONLINE: "idle",
    GitHubView.BUSY: "running",
    GitHubView.OFFLINE: "unavailable",
    GitHubView.ABSENT: "unavailable",
    GitHubView.UNKNOWN: "unknown",
}
_NOTES = {
    GitHubView.OFFLINE: "its listener lives, and GitHub calls it offline",
    GitHubView.ABSENT: "its listener lives, and GitHub does not list it",
    GitHubView.UNKNOWN: "GitHub's list of runners has not shown it lately",
}


def not_online(slot: Slot, fact: AdoptedFact) -> str | None:
    """Why GitHub will give it no job, in a word or two; None: it may."""
    if slot.state not in _ALIVE or fact.job is not None or fact.github in (GitHubView.ONLINE, GitHubView.BUSY):
        return None
    return "not seen at GitHub yet" if fact.github is GitHubView.UNKNOWN else "offline at GitHub"


def left_to(takers: Sequence[Taker], work: WorkToLeave, position: int) -> Answer | None:
    """What the takers say of the job that is the `position`-th (from 1) of those that wait in its pool; None: older
    jobs have them all."""
    fitting = sorted((each for each in takers if _can_take(each, work)), key=_longest_idle)
    if position > len(fitting):
        return None
    taker = fitting[position - 1]
    return Answer(taker=taker, until=max(work.queued_at, taker.idle_since) + TAKES_WITHIN)


def adopted_note(slot: Slot, fact: AdoptedFact, now: datetime) -> str | None:
    """Why an adopted slot that its host calls idle is no capacity; None: nothing speaks against it."""
    if slot.state not in _ALIVE or fact.job is not None:
        return None
    if rests(slot, now) and slot.rests_until is not None:
        times = "a job" if slot.failed_starts <= 1 else f"{slot.failed_starts} jobs in a row"
        return f"not counted on until {slot.rests_until:%H:%M:%S} UTC: it stood idle and let {times} lie"
    return _NOTES.get(fact.github)
