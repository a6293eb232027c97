"""Who gets a slot next: one snapshot in, explained decisions out.

Waiting jobs come in groups of one owner and one pool, oldest first. Slots of a pool are handed
round the owners by turns, so that a capped or unservable owner never holds up another (R18, R19).
Weights, priorities and lanes join in here later; the shape stays: snapshot -> decisions.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from heapq import heappop, heappush

import msgspec

from andon.model.config import Pool


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


class FreeSlot(msgspec.Struct, frozen=True, kw_only=True):
    """An idle, open slot of a reporting, open host, without a live claim."""

    host: str
    slot: int
    pool: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one round of dispatch looks at, read in one transaction."""

    waiting: tuple[WaitingJob, ...]
    """Oldest first within each owner and pool; at most as many as could be placed."""
    free: tuple[FreeSlot, ...]
    live_claims: Mapping[str, int]
    """Live claims by owner."""
    host_load: Mapping[str, int]
    """Live claims by host, to spread the starts."""


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


Decision = Place | Withhold


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

    free = _FreeSlots(snapshot)
    placed = 0
    for pool_name, by_owner in queues.items():
        for job in _turns(by_owner):
            cap = policy.max_slots.get(job.owner)
            if cap is not None and used.get(job.owner, 0) >= cap:
                facts: dict[str, object] = {"max_slots": cap, "used": used.get(job.owner, 0)}
                decisions.append(Withhold(job=job, cause="capped", facts=facts))
            elif placed < policy.batch and (slot := free.take(pool_name)) is not None:
                used[job.owner] = used.get(job.owner, 0) + 1
                placed += 1
                decisions.append(Place(job=job, slot=slot))
    return tuple(decisions)


class _FreeSlots:
    """Free slots by pool; the emptiest host gives next, so that starts spread and a lost host takes
    less with it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._slots: dict[tuple[str, str], list[FreeSlot]] = defaultdict(list)
        for slot in sorted(snapshot.free, key=lambda each: each.slot, reverse=True):
            self._slots[slot.pool, slot.host].append(slot)
        self._load = dict(snapshot.host_load)
        self._hosts: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for pool, host in self._slots:
            heappush(self._hosts[pool], (self._load.get(host, 0), host))

    def take(self, pool: str) -> FreeSlot | None:
        """A slot of the pool, or None when none is left."""
        heap = self._hosts[pool]
        while heap:
            load, host = heappop(heap)
            slots = self._slots[pool, host]
            now = self._load.get(host, 0)
            if not slots:
                continue
            if now != load:
                # Another pool took a slot of this host meanwhile.
                heappush(heap, (now, host))
                continue
            self._load[host] = now + 1
            heappush(heap, (now + 1, host))
            return slots.pop()
        return None


def _turns(by_owner: Mapping[str, list[WaitingJob]]) -> list[WaitingJob]:
    """All owners' jobs, oldest first for now: where fairness will choose the next owner."""
    return sorted((job for jobs in by_owner.values() for job in jobs), key=lambda job: (job.queued_at, job.id))
