"""Who gets a slot next: one snapshot in, explained decisions out.

Waiting jobs come in groups of one owner and one pool, oldest first. Slots of a pool are handed
round the owners by turns, so that a capped or unservable owner never holds up another (R18, R19).
A job goes elsewhere than where it was given up, while there is an elsewhere, and a host whose starts fail
gives its slots last: it is the emptiest host, and would draw every job again and again (T20, T26).
What an idle adopted runner will take is left to it for a moment (`rules.adopted_slots`). No job begins where it has
no room to write, so that jobs spread to the hosts that have (`rules.disk_admission`).
Weights, priorities and lanes join in here later; the shape stays: snapshot -> decisions.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from heapq import heappop, heappush

import msgspec

from andon.model.config import Pool
from andon.rules.adopted_slots import Taker, Takers, WorkToLeave
from andon.rules.disk_admission import DiskFacts, Rooms, Shortage, shortage_facts
from andon.rules.growth import Expected

NO_DISK = "no_disk"
"""The cause of `rules.why` of a job that has no room on any host with a free slot."""
HOST_IS_TO_BLAME = 2
"""So many slots that fail speak against their host, and not each for itself (design.md section 4, "unit")."""


class WaitingJob(msgspec.Struct, frozen=True, kw_only=True):
    """A queued job without a live claim."""

    id: int
    repository: str
    owner: str
    pool: str
    run_id: int
    attempt: int
    queued_at: datetime
    fork: bool
    name: str = ""
    """As GitHub calls it."""
    given_up: tuple[tuple[str, int, int], ...] = ()
    """Where runners that were made for it were given up before they served: host, slot, how many."""


class FreeSlot(msgspec.Struct, frozen=True, kw_only=True):
    """An idle, open slot of a reporting, open host, without a live claim."""

    host: str
    slot: int
    pool: str
    failed_starts: int = 0
    """Its failed starts in a row (`rules.slot_rest`)."""
    failing_slots: int = 0
    """How many slots of its host have failed starts, those that rest included."""
    tells_disks: bool = False
    """Its host tells of its filesystems."""

    @property
    def doubtful(self) -> bool:
        """Whether its last start failed, or those of two slots of its host: then the host is to blame."""
        return self.failed_starts > 0 or self.failing_slots >= HOST_IS_TO_BLAME


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one round of dispatch looks at, read in one transaction."""

    waiting: tuple[WaitingJob, ...]
    """Oldest first within each owner and pool; at most as many as could be placed."""
    free: tuple[FreeSlot, ...]
    live_claims: Mapping[str, int]
    """Live claims by owner."""
    host_load: Mapping[str, int]
    """Live claims by host, to spread the starts."""
    takers: tuple[Taker, ...] = ()
    """Adopted slots that stand idle."""
    now: datetime | None = None
    """When it was read; needed where there are takers."""
    disks: DiskFacts | None = None
    """None: no host with a free slot reports a disk."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says about dispatch."""

    pools: Mapping[str, Pool]
    max_slots: Mapping[str, int]
    """Hard caps by owner; an owner without one is not in it (R18)."""
    batch: int = 50
    """Most claims of one round: one transaction, one group commit."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Claim this slot for this job."""

    job: WaitingJob
    slot: FreeSlot


class Withhold(msgspec.Struct, frozen=True, kw_only=True):
    """This job gets no slot now, although one may be free."""

    job: WaitingJob
    cause: str
    """A cause of `rules.why`."""
    facts: dict[str, object]


class Leave(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is made for this job until then: an idle adopted runner will take it."""

    job: WaitingJob
    taker: Taker
    until: datetime


class LetLie(msgspec.Struct, frozen=True, kw_only=True):
    """This adopted runner stood idle and did not take the job; it is served like any other."""

    job: WaitingJob
    taker: Taker


Decision = Place | Withhold | Leave | LetLie


def trusts(pool: Pool, job: WaitingJob) -> bool:
    """Whether the pool takes work of this repository and origin (R93). The run must be known."""
    if pool.trust == "any":
        return True
    if job.fork:
        return False
    listed = {name.lower() for name in pool.repositories}
    return pool.trust == "no-forks" or job.repository.lower() in listed


def decide(snapshot: Snapshot, policy: Policy) -> tuple[Decision, ...]:
    """Places as many jobs as fit, and says why the others of the snapshot have to wait."""
    decisions: list[Decision] = []
    queues: dict[str, dict[str, list[WaitingJob]]] = defaultdict(lambda: defaultdict(list))
    used = dict(snapshot.live_claims)
    for job in snapshot.waiting:
        pool = policy.pools.get(job.pool)
        if pool is None:
            decisions.append(Withhold(job=job, cause="unserved_label", facts={"pool": job.pool}))
        elif not trusts(pool, job):
            decisions.append(Withhold(job=job, cause="reserved", facts={"trust": pool.trust, "fork": job.fork}))
        else:
            queues[job.pool][job.owner].append(job)

    free, takers = _FreeSlots(snapshot), Takers(snapshot.takers)
    placed = 0
    for by_owner in queues.values():
        for job in _turns(by_owner):
            if (left := _left(job, takers, snapshot.now)) is not None:
                decisions.append(left)
                if isinstance(left, Leave):
                    continue
            cap = policy.max_slots.get(job.owner)
            if cap is not None and used.get(job.owner, 0) >= cap:
                facts: dict[str, object] = {"max_slots": cap, "used": used.get(job.owner, 0)}
                decisions.append(Withhold(job=job, cause="capped", facts=facts))
            elif placed < policy.batch and (slot := free.take(job)) is not None:
                used[job.owner] = used.get(job.owner, 0) + 1
                placed += 1
                decisions.append(Place(job=job, slot=slot))
            elif placed < policy.batch and (short := free.shortage(job)) is not None:
                decisions.append(Withhold(job=job, cause=NO_DISK, facts=shortage_facts(short)))
    return tuple(decisions)


def _left(job: WaitingJob, takers: Takers, now: datetime | None) -> Leave | LetLie | None:
    if now is None:
        return None
    work = WorkToLeave(pool=job.pool, owner=job.owner, repository=job.repository, queued_at=job.queued_at)
    answer = takers.ask(work)
    if answer is None:
        return None
    if answer.left(now):
        return Leave(job=job, taker=answer.taker, until=answer.until)
    return LetLie(job=job, taker=answer.taker)


class _FreeSlots:
    """Free slots by pool; the emptiest host gives next, so that starts spread and a lost host takes
    less with it. What is doubtful comes last. A slot where the job has no room is no slot for it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._slots: dict[str, dict[str, list[FreeSlot]]] = defaultdict(lambda: defaultdict(list))
        """By pool and host, the one to take next at the end."""
        for slot in sorted(snapshot.free, key=_least_doubtful, reverse=True):
            self._slots[slot.pool][slot.host].append(slot)
        self._load = dict(snapshot.host_load)
        self._hosts: dict[str, list[tuple[bool, int, str]]] = defaultdict(list)
        """By pool, a heap of hosts as they stood when they were put there: they can only have become worse."""
        for pool, hosts in self._slots.items():
            for host, slots in hosts.items():
                heappush(self._hosts[pool], self._rank(host, slots))
        self._needs: Mapping[int, Expected] = {} if snapshot.disks is None else snapshot.disks.needs
        self._rooms = None if snapshot.disks is None else Rooms(snapshot.disks)
        self._short: dict[tuple[str, Expected], Shortage] = {}
        """By pool, what has no room in it: there is less with each job that begins, and never more in one round."""

    def take(self, job: WaitingJob) -> FreeSlot | None:
        """A slot of the job's pool, or None when none is left that has room for it."""
        if job.id in self._needs and (job.pool, self._needs[job.id]) in self._short:
            return None
        return self._take_elsewhere(job) if job.given_up else self._take_next(job)

    def shortage(self, job: WaitingJob) -> Shortage | None:
        """Why no slot of those that are left has room for the job; None: none is left, or one has."""
        if self._rooms is None or job.id not in self._needs:
            return None
        left = [(slot.host, slot.slot) for slots in self._slots[job.pool].values() for slot in slots]
        if not left:
            return None
        key = job.pool, self._needs[job.id]
        if key not in self._short and (short := self._rooms.shortage(left, key[1])) is not None:
            self._short[key] = short
        return self._short.get(key)

    def _take_next(self, job: WaitingJob) -> FreeSlot | None:
        heap = self._hosts[job.pool]
        full: list[tuple[bool, int, str]] = []
        found: FreeSlot | None = None
        while heap and found is None:
            was = heappop(heap)
            slots = self._slots[job.pool][was[-1]]
            if not slots:
                continue
            if (now := self._rank(was[-1], slots)) != was:
                heappush(heap, now)
                continue
            found = next((slot for slot in reversed(slots) if self._has_room(job, slot)), None)
            if found is None:
                full.append(was)
                continue
            slots.remove(found)
            self._give(job, found)
            if slots:
                heappush(heap, self._rank(found.host, slots))
        for each in full:
            heappush(heap, each)
        return found

    def _take_elsewhere(self, job: WaitingJob) -> FreeSlot | None:
        """Where it was given up least often: there is always a place that is least bad."""
        on_host: Counter[str] = Counter()
        on_slot: Counter[tuple[str, int]] = Counter()
        for host, slot, times in job.given_up:
            on_host[host] += times
            on_slot[host, slot] += times
        roomy = {
            host: [slot for slot in slots if self._has_room(job, slot)] for host, slots in self._slots[job.pool].items()
        }
        left = [(host, slots) for host, slots in roomy.items() if slots]
        if not left:
            return None
        host, slots = min(left, key=lambda each: (on_host[each[0]], self._rank(*each)))
        slot = min(slots, key=lambda each: (on_slot[each.host, each.slot], _least_doubtful(each)))
        self._slots[job.pool][host].remove(slot)
        self._give(job, slot)
        return slot

    def _has_room(self, job: WaitingJob, slot: FreeSlot) -> bool:
        if self._rooms is None or job.id not in self._needs:
            return True
        return self._rooms.fits(slot.host, slot.slot, self._needs[job.id])

    def _rank(self, host: str, slots: list[FreeSlot]) -> tuple[bool, int, str]:
        return slots[-1].doubtful, self._load.get(host, 0), host

    def _give(self, job: WaitingJob, slot: FreeSlot) -> None:
        self._load[slot.host] = self._load.get(slot.host, 0) + 1
        if self._rooms is not None and job.id in self._needs:
            self._rooms.take(slot.host, slot.slot, self._needs[job.id])


def _least_doubtful(slot: FreeSlot) -> tuple[bool, int, int]:
    return slot.doubtful, slot.failed_starts, slot.slot


def _turns(by_owner: Mapping[str, list[WaitingJob]]) -> list[WaitingJob]:
    """All owners' jobs, oldest first for now: where fairness will choose the next owner."""
    return sorted((job for jobs in by_owner.values() for job in jobs), key=lambda job: (job.queued_at, job.id))
