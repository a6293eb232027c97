"""One round of dispatch as one transaction: snapshot, decisions, claims, journal, outbox.

The decision itself is `rules.dispatch`. It is made inside the writing transaction, so that caps
are counted on what is there and not on what was there (R18).
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import msgspec

from andon.model.claim_states import CLAIMS, ClaimState
from andon.model.journal import Entry
from andon.model.nouns import Claim
from andon.rules.dispatch import (
    NO_DISK,
    Decision,
    Leave,
    LetLie,
    Place,
    Policy,
    Snapshot,
    WaitingJob,
    Withhold,
    decide,
)
from andon.store import adopted_slots, claims, disk_facts, dispatch_postgres, hosts, jobs
from andon.store.pause_trials import jobs_to_try
from andon.store.pauses import paused_in, pauses
from andon.store.transaction import Tx

RUNNER_NAME_LIMIT = 64
"""GitHub's longest runner name."""
LOOK_FURTHER = 1000
"""So many jobs of a pool that have no room on any disk hold up none behind them."""
MOST_QUESTIONS = 20
"""Most runs of a pool that one round asks GitHub about."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one round did."""

    claimed: tuple[Claim, ...] = ()
    withheld: tuple[Withhold, ...] = ()
    would: int = 0
    """Claims that observe mode only journalled."""
    more: bool = False
    """The batch was full: look again at once."""
    left_until: datetime | None = None
    """When the first of the jobs that are left to adopted runners is left to it no longer."""


def runner_name(fleet: str, host: str, slot: int, claim_id: str) -> str:
    """`andon-<fleet>-<host>-<slot>-<tail of the claim id>`, at most 64 characters."""
    tail = claim_id[-10:]
    room = RUNNER_NAME_LIMIT - len(f"andon-{fleet}--{slot}-{tail}")
    return f"andon-{fleet}-{host[:room]}-{slot}-{tail}"


def snapshot(tx: Tx, policy: Policy, further: int = 0, *, by_room: bool = True) -> Snapshot:
    """What dispatch looks at: as many of the oldest jobs as could be placed, or withheld before those.

    `further`: so many more of each pool, which have no room on any disk. `by_room`: whether room is looked at at all.
    """
    connection = tx.connection
    free = hosts.free_slots(connection, tx.now)
    slots_of = Counter(slot.pool for slot in free)
    by_owner, by_host = claims.live_counts(connection)
    known_pauses = pauses(connection)

    def oldest(more: Mapping[str, int]) -> list[WaitingJob]:
        found: list[WaitingJob] = []
        for name, pool in policy.pools.items():
            # One more than there are slots: it is the one whose withholding can be explained.
            each = min(slots_of[name], policy.batch) + 1 + further + more.get(name, 0)
            slack = _most_withheld(policy, by_owner, each)
            found += jobs.oldest_waiting(connection, pool, each, paused_in(known_pauses, name), slack=slack)
        return found

    waiting = oldest({})
    adopted = adopted_slots.by_pool(connection) if waiting else None
    if adopted:
        # What is left to them stands before what is placed.
        waiting = oldest(adopted)
    if free:
        waiting += jobs_to_try(connection, known_pauses, policy, tx.now)
    return Snapshot(
        waiting=tuple(waiting),
        free=tuple(free),
        live_claims=by_owner,
        host_load=by_host,
        takers=adopted_slots.takers(connection, tx.now) if adopted else (),
        now=tx.now,
        disks=disk_facts.for_dispatch(connection, free, waiting) if by_room else None,
    )


def _most_withheld(policy: Policy, used: Mapping[str, int], each: int) -> int:
    """How many of `each` jobs of every owner his cap can withhold at most.

    With several pools an owner's room can be used up in another one first, and then it is all of them.
    """
    if len(policy.pools) > 1:
        return each * len(policy.max_slots)
    return sum(each - min(max(cap - used.get(owner, 0), 0), each) for owner, cap in policy.max_slots.items())


def dispatch_once(tx: Tx, policy: Policy, *, fleet: str, mode: str, by_room: bool = True) -> Round:
    """Decides and writes one round. `mode` "observe" journals what it would claim, once a job; "off" nothing.

    `by_room`: whether a job that has no room to write waits for it (R51).
    """
    decisions, runs_to_learn = _decide(tx, policy, by_room=by_room)
    places = [each for each in decisions if isinstance(each, Place)]
    withheld = tuple(each for each in decisions if isinstance(each, Withhold))
    for pool in policy.pools.values():
        if runs_to_learn and pool.trust != "any":
            _learn_runs(tx, pool.name)
    left = min((each.until for each in decisions if isinstance(each, Leave)), default=None)
    if mode != "act":
        return Round(withheld=withheld, would=_would_claim(tx, places) if mode == "observe" else 0)
    for each in decisions:
        if isinstance(each, LetLie):
            adopted_slots.let_lie(tx, each.taker, each.job.id)
    return Round(
        left_until=left,
        claimed=reserve(tx, _new_claims(tx, places, fleet), policy),
        withheld=withheld,
        more=len(places) >= policy.batch,
    )


def _decide(tx: Tx, policy: Policy, *, by_room: bool) -> tuple[tuple[Decision, ...], bool]:
    """The decisions of one look; and whether there may be a run that its pool needs to know of.

    Where jobs that have no room stand before others, those others are looked for too: a job that fits nowhere never
    holds up the ones behind it (T17, T25).
    """
    decisions, unknown, free = _look(tx, policy, 0, by_room=by_room)
    if not any(isinstance(each, Withhold) and each.cause == NO_DISK for each in decisions):
        return decisions, unknown
    if sum(isinstance(each, Place) for each in decisions) >= min(policy.batch, free):
        return decisions, unknown
    decisions, unknown, _ = _look(tx, policy, LOOK_FURTHER, by_room=by_room)
    return decisions, unknown


def _look(tx: Tx, policy: Policy, further: int, *, by_room: bool) -> tuple[tuple[Decision, ...], bool, int]:
    """Decisions, whether there may be a run to ask for, and how many slots were free."""
    if _on_postgres(tx):
        seen, unknown = dispatch_postgres.look(tx, policy, further, by_room=by_room)
    else:
        seen, unknown = snapshot(tx, policy, further, by_room=by_room), True
    return decide(seen, policy), unknown, len(seen.free)


def _on_postgres(tx: Tx) -> bool:
    return tx.connection.dialect.name == "postgresql"


def reserve(tx: Tx, wanted: list[Claim], policy: Policy) -> tuple[Claim, ...]:
    """Writes new claims, with journal line and act of each; gives those that broke no unique index (R17).

    A claim that did leaves nothing behind.
    """
    kept = dispatch_postgres.reserve(tx, wanted, policy) if _on_postgres(tx) else reserve_each(tx, wanted, policy)
    return tuple(claim for claim in wanted if claim.id in kept)


def reserve_each(tx: Tx, wanted: list[Claim], policy: Policy) -> set[str]:
    """The same through the general statements; gives the ids of those that were kept."""
    kept = claims.reserve(tx, wanted)
    new = [claim for claim in wanted if claim.id in kept]
    tx.record(*[_line(claim) for claim in new])
    for claim in new:
        _order_minting(tx, claim, policy)
    return kept


def _new_claims(tx: Tx, places: list[Place], fleet: str) -> list[Claim]:
    deadline = tx.now + CLAIMS.limit(ClaimState.RESERVED)
    made = tx.ids.many("clm", len(places))
    return [_claim(tx, claim_id, place, fleet, deadline) for claim_id, place in zip(made, places, strict=True)]


def _claim(tx: Tx, claim_id: str, place: Place, fleet: str, deadline: datetime) -> Claim:
    return Claim(
        id=claim_id,
        job_id=place.job.id,
        owner=place.job.owner,
        repository=place.job.repository,
        pool=place.slot.pool,
        host=place.slot.host,
        slot=place.slot.slot,
        state=ClaimState.RESERVED,
        generation=1,
        runner_name=runner_name(fleet, place.slot.host, place.slot.slot, claim_id),
        runner_id=None,
        created_at=tx.now,
        since=tx.now,
        deadline=deadline,
        reason=None,
        ended_at=None,
        exit=None,
        signal=None,
        tail=None,
    )


def _line(claim: Claim) -> Entry:
    return Entry(
        actor="loop:dispatch",
        kind="claim.reserved",
        subject_kind="claim",
        subject_id=claim.id,
        generation=claim.generation,
        to_state=ClaimState.RESERVED.value,
        reason=f"oldest waiting job of {claim.owner} in pool {claim.pool}; slot {claim.host}/{claim.slot} was free",
        evidence={"runner": claim.runner_name},
        job_id=claim.job_id,
        host=claim.host,
    )


def _order_minting(tx: Tx, claim: Claim, policy: Policy) -> None:
    pool = policy.pools[claim.pool]
    tx.order(
        "mint_runner",
        key=f"mint:{claim.id}",
        subject=claim.id,
        generation=claim.generation,
        payload={
            "owner": claim.owner,
            "repository": claim.repository,
            "name": claim.runner_name,
            "group": pool.runner_group_id,
            "labels": pool.labels,
        },
    )


def _learn_runs(tx: Tx, pool: str) -> None:
    """Asks for runs whose event and origin the pool wants to know; each at most once in ten minutes."""
    turn = int(tx.now.timestamp()) // 600
    for run in jobs.unknown_runs(tx.connection, pool, MOST_QUESTIONS):
        tx.order(
            "learn_run",
            key=f"learn_run:{run.run_id}:{run.attempt}:{turn}",
            subject=str(run.job_id),
            payload={"repository": run.repository, "run_id": run.run_id, "attempt": run.attempt},
        )


def _would_claim(tx: Tx, places: list[Place]) -> int:
    """Journals each job once as "would": the outbox key remembers which were said already."""
    for place in places:
        tx.order(
            "note_would_claim",
            key=f"would:{place.job.id}",
            subject=str(place.job.id),
            payload={"host": place.slot.host, "slot": place.slot.slot},
        )
    return len(places)
