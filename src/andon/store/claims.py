"""Claims: every change is a compare-and-set on state and generation (R12), journalled with it."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import asdict
from sqlalchemy import Connection, bindparam, delete, func, or_, select, update

from andon.model.claim_states import CLAIMS, LIVE, RECLAIMED, ClaimEvent, ClaimState
from andon.model.journal import Entry
from andon.model.machine import Rejected
from andon.model.nouns import Claim
from andon.store import slot_rests
from andon.store.bulk import insert_new
from andon.store.prepared import Prepared, Records, listed, values_of
from andon.store.rows import to_struct
from andon.store.schema import LIVE_CLAIM, claims, jit_configs, jobs
from andon.store.transaction import Tx
from andon.store.upsert import upsert

_JIT_STATES = frozenset({ClaimState.MINTED, ClaimState.LAUNCHED})
"""While in these the JIT config may still be needed; in any other its row goes (R26)."""

# Made once: these run with every sync, every round and every piece of news.
_BY_ID = Records(select(claims).where(claims.c.id == bindparam("id")), Claim)
_BY_RUNNER = Records(select(claims).where(claims.c.runner_name == bindparam("runner_name")), Claim)
_LIVE_OF_JOB = Records(select(claims).where(claims.c.job_id == bindparam("job_id"), LIVE_CLAIM), Claim)
_OVERDUE = Records(
    select(claims)
    .where(LIVE_CLAIM, claims.c.deadline <= bindparam("now"))
    .order_by(claims.c.deadline)
    .limit(bindparam("most")),
    Claim,
)
_NEXT_DEADLINE = Prepared(select(func.min(claims.c.deadline, type_=claims.c.deadline.type)).where(LIVE_CLAIM))
_LIVE_COUNTS = Prepared(
    select(claims.c.owner, claims.c.host, func.count()).where(LIVE_CLAIM).group_by(claims.c.owner, claims.c.host)
)
_FORGET_JIT = Prepared(delete(jit_configs).where(jit_configs.c.claim_id == bindparam("claim")))
_TO_START = Records(
    select(claims, jit_configs.c.config)
    .join(jit_configs, jit_configs.c.claim_id == claims.c.id)
    # `LIVE_CLAIM` says nothing new, and lets both databases take the index of live claims: the table grows.
    .where(claims.c.host == bindparam("host"), claims.c.state == ClaimState.MINTED.value, LIVE_CLAIM)
    .order_by(claims.c.slot),
    Claim,
)


@lru_cache(maxsize=256)
def _of_ids(count: int) -> Records[Claim]:
    return Records(select(claims).where(claims.c.id.in_(listed("id", count))), Claim)


@lru_cache(maxsize=256)
def _released(count: int) -> Records[Claim]:
    of_ids = claims.c.id.in_(listed("id", count))
    to_end = or_(claims.c.state == ClaimState.RELEASED.value, claims.c.reason == RECLAIMED)
    return Records(select(claims).where(of_ids, to_end), Claim)


_LET_GO = Prepared(update(claims).where(claims.c.id == bindparam("claim")).values(job_id=None))
_STAND_FOR = Prepared(
    update(claims)
    .where(claims.c.id == bindparam("claim"), claims.c.generation == bindparam("of_generation"))
    .values({name: bindparam(name) for name in ("job_id", "repository", "generation")})
)


@lru_cache(maxsize=4)
def _homes(count: int) -> Prepared:
    return Prepared(select(jobs.c.id, jobs.c.repository).where(jobs.c.id.in_(listed("job", count))))


@lru_cache(maxsize=64)
def _compare_and_set(columns: tuple[str, ...]) -> Prepared:
    return Prepared(
        update(claims)
        .where(
            claims.c.id == bindparam("of_claim"),
            claims.c.state == bindparam("of_state"),
            claims.c.generation == bindparam("of_generation"),
        )
        .values({name: bindparam(name) for name in columns})
    )


def _set(tx: Tx, claim: Claim, values: dict[str, Any]) -> bool:
    """Changes a claim that is still in this state and generation; says whether it was."""
    changed = _compare_and_set(tuple(values)).run(
        tx.connection, of_claim=claim.id, of_state=claim.state.value, of_generation=claim.generation, **values
    )
    return changed == 1


# Sorted here: asked for in this order, SQLite reads every claim that ever was in it.
_LIVE = Records(select(claims).where(LIVE_CLAIM), Claim)
_LIVE_ON = Records(select(claims).where(LIVE_CLAIM, claims.c.host == bindparam("host")), Claim)


def get_claim(connection: Connection, claim_id: str) -> Claim | None:
    """The claim, or None."""
    return _BY_ID.struct(connection, id=claim_id)


def claim_of_runner(connection: Connection, runner_name: str) -> Claim | None:
    """The claim that this runner was made for, whatever its state."""
    return _BY_RUNNER.struct(connection, runner_name=runner_name)


def live_claim_of_job(connection: Connection, job_id: int) -> Claim | None:
    """The one live claim that stands for this job, or None."""
    return _LIVE_OF_JOB.struct(connection, job_id=job_id)


def live_claims(connection: Connection, *, host: str | None = None) -> list[Claim]:
    """Every live claim, of one host or of all."""
    found = _LIVE.structs(connection) if host is None else _LIVE_ON.structs(connection, host=host)
    return sorted(found, key=lambda claim: claim.id)


def get_claims(connection: Connection, claim_ids: Sequence[str]) -> dict[str, Claim]:
    """The claims that we know among these."""
    if not claim_ids:
        return {}
    found = _of_ids(len(claim_ids)).structs(connection, **values_of("id", claim_ids))
    return {claim.id: claim for claim in found}


def released_of(connection: Connection, claim_ids: Sequence[str]) -> list[Claim]:
    """Those of the claims that were given back, or whose slot was reclaimed: their processes are to end."""
    if not claim_ids:
        return []
    return _released(len(claim_ids)).structs(connection, **values_of("id", claim_ids))


def latest_claims(connection: Connection, job_ids: Sequence[int]) -> dict[int, Claim]:
    """By job, its live claim; else the one made last."""
    found: dict[int, Claim] = {}
    rows = connection.execute(select(claims).where(claims.c.job_id.in_(job_ids)).order_by(claims.c.id)).mappings()
    for row in rows:
        claim = to_struct(row, Claim)
        held = found.get(row["job_id"])
        if held is None or held.state not in LIVE:
            found[row["job_id"]] = claim
    return found


def live_counts(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Live claims by owner and by host."""
    owners: dict[str, int] = {}
    hosts: dict[str, int] = {}
    for owner, host, count in _LIVE_COUNTS.all(connection):
        owners[owner] = owners.get(owner, 0) + count
        hosts[host] = hosts.get(host, 0) + count
    return owners, hosts


def overdue(connection: Connection, now: datetime, limit: int) -> list[Claim]:
    """Live claims whose deadline has passed, the most overdue first."""
    return _OVERDUE.structs(connection, now=now, most=limit)


def next_deadline(connection: Connection) -> datetime | None:
    """When the next live claim runs out of time."""
    return _NEXT_DEADLINE.value(connection)


def reserve(tx: Tx, wanted: Sequence[Claim]) -> set[str]:
    """Inserts claims at once; gives the ids of those that broke neither unique index (R17)."""
    ids = {claim.id for claim in wanted}
    rows = [{**asdict(claim), "state": claim.state.value} for claim in wanted]
    if insert_new(tx.connection, claims, rows) == len(wanted):
        return ids
    return set(tx.connection.execute(select(claims.c.id).where(claims.c.id.in_(ids))).scalars())


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a claim, by whom and on which evidence."""

    event: ClaimEvent
    actor: str
    reason: str
    evidence: dict[str, Any] = {}
    deadline: datetime | None = None
    values: dict[str, Any] = {}
    """Other columns that change with it."""


def advance(tx: Tx, claim: Claim, change: Change) -> Claim | Rejected:
    """Moves a claim by its table, in a compare-and-set on state and generation, and journals it.

    Gives Rejected, and changes nothing, when the table has no such edge or somebody was faster.
    """
    after = CLAIMS.advance(claim.state, change.event)
    if isinstance(after, Rejected):
        return after
    values: dict[str, Any] = {
        "state": after.value,
        "since": tx.now,
        "deadline": change.deadline,
        "reason": change.reason,
        **change.values,
    }
    if not _set(tx, claim, values):
        return Rejected(claim.state.value, change.event.value, "the claim has moved on: state or generation differ")
    if after not in _JIT_STATES:
        _FORGET_JIT.run(tx.connection, claim=claim.id)
    tx.record(
        Entry(
            actor=change.actor,
            kind=f"claim.{after.value}",
            subject_kind="claim",
            subject_id=claim.id,
            generation=claim.generation,
            from_state=claim.state.value,
            to_state=after.value,
            reason=change.reason,
            evidence=change.evidence,
            job_id=claim.job_id,
            host=claim.host,
        )
    )
    if after not in LIVE:
        slot_rests.follow(tx, claim, after)
        tx.nudges.update({"dispatch", f"host:{claim.host}"})
    elif after is ClaimState.MINTED:
        tx.nudges.add(f"host:{claim.host}")
    tx.nudges.add("claims")
    return msgspec.structs.replace(claim, **{**values, "state": after})


def set_facts(tx: Tx, claim: Claim, **values: Any) -> Claim:
    """Changes columns that are facts and not the state, under the same compare-and-set."""
    _set(tx, claim, values)
    return msgspec.structs.replace(claim, **values)


def swap_demand(tx: Tx, taker: Claim, other: Claim | None, job_id: int, *, evidence: dict[str, Any]) -> Claim:
    """GitHub gave `job_id` to the runner of `taker`, made for another job (R21).

    The two claims change their demand in one transaction, both generations + 1, so that an order
    that was decided before the swap changes nothing. `other` is the live claim that stood for
    `job_id`, if any. Gives the taker as it is now.
    """
    given_up = taker.job_id
    pairs = [(taker, job_id)] + ([(other, given_up)] if other is not None else [])
    # Runners of an organisation take jobs of any repository of it.
    demands = [demand for _, demand in pairs]
    homes: dict[int | None, str] = dict(_homes(len(demands)).all(tx.connection, **values_of("job", demands)))
    for claim, _ in pairs:
        # Both let go first: the index on live jobs allows one claim a job at every moment.
        _LET_GO.run(tx.connection, claim=claim.id)
    for claim, demand in pairs:
        _STAND_FOR.run(
            tx.connection,
            claim=claim.id,
            of_generation=claim.generation,
            job_id=demand,
            repository=homes.get(demand, claim.repository),
            generation=claim.generation + 1,
        )
        for story in {claim.job_id, demand} - {None}:
            tx.record(
                Entry(
                    actor="github",
                    kind="claim.shuffled",
                    subject_kind="claim",
                    subject_id=claim.id,
                    generation=claim.generation + 1,
                    from_state=claim.state.value,
                    to_state=claim.state.value,
                    reason=f"GitHub gave job {job_id} to runner {taker.runner_name}; "
                    f"this claim now stands for {demand} instead of {claim.job_id}",
                    evidence=evidence,
                    job_id=story,
                    host=claim.host,
                )
            )
    if other is None:
        # The job that the taker stood for has no claim any more, and may be claimed at once.
        tx.nudges.add("dispatch")
    return msgspec.structs.replace(
        taker,
        job_id=job_id,
        repository=homes.get(job_id, taker.repository),
        generation=taker.generation + 1,
    )


def keep_jit_config(tx: Tx, claim_id: str, config: str) -> None:
    """Keeps the secret until the runner registered."""
    upsert(tx.connection, jit_configs, {"claim_id": claim_id, "config": config}, key=("claim_id",))


def jit_configs_of(connection: Connection, host: str) -> list[tuple[Claim, str]]:
    """The host's minted claims with their JIT configs: what its agent has to start."""
    return [(_TO_START.of(row), row[-1]) for row in _TO_START.all(connection, host=host)]
