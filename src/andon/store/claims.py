"""Claims: every change is a compare-and-set on state and generation (R12), journalled with it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import asdict
from sqlalchemy import Connection, bindparam, delete, func, select, update

from andon.model.claim_states import CLAIMS, LIVE, ClaimEvent, ClaimState
from andon.model.journal import Entry
from andon.model.machine import Rejected
from andon.model.nouns import Claim
from andon.store.bulk import insert_new
from andon.store.rows import to_struct
from andon.store.schema import LIVE_CLAIM, claims, jit_configs, jobs
from andon.store.transaction import Tx
from andon.store.upsert import upsert

_JIT_STATES = frozenset({ClaimState.MINTED, ClaimState.LAUNCHED})
"""While in these the JIT config may still be needed; in any other its row goes (R26)."""


def get_claim(connection: Connection, claim_id: str) -> Claim | None:
    """The claim, or None."""
    row = connection.execute(select(claims).where(claims.c.id == claim_id)).mappings().first()
    return to_struct(row, Claim) if row else None


def claim_of_runner(connection: Connection, runner_name: str) -> Claim | None:
    """The claim that this runner was made for, whatever its state."""
    row = connection.execute(select(claims).where(claims.c.runner_name == runner_name)).mappings().first()
    return to_struct(row, Claim) if row else None


def live_claim_of_job(connection: Connection, job_id: int) -> Claim | None:
    """The one live claim that stands for this job, or None."""
    row = connection.execute(select(claims).where(claims.c.job_id == job_id, LIVE_CLAIM)).mappings().first()
    return to_struct(row, Claim) if row else None


def live_claims(connection: Connection, *, host: str | None = None) -> list[Claim]:
    """Every live claim, of one host or of all."""
    query = select(claims).where(LIVE_CLAIM)
    if host is not None:
        query = query.where(claims.c.host == host)
    return [to_struct(row, Claim) for row in connection.execute(query.order_by(claims.c.id)).mappings()]


def get_claims(connection: Connection, claim_ids: Sequence[str]) -> dict[str, Claim]:
    """The claims that we know among these."""
    if not claim_ids:
        return {}
    rows = connection.execute(select(claims).where(claims.c.id.in_(claim_ids))).mappings()
    return {row["id"]: to_struct(row, Claim) for row in rows}


# Made once, as those of `hosts`: they run with every look of a held sync.
_RELEASED = select(claims).where(
    claims.c.id.in_(bindparam("ids", expanding=True)), claims.c.state == ClaimState.RELEASED.value
)
_TO_START = (
    select(claims, jit_configs.c.config)
    .join(jit_configs, jit_configs.c.claim_id == claims.c.id)
    .where(claims.c.host == bindparam("host"), claims.c.state == ClaimState.MINTED.value)
    .order_by(claims.c.id)
)


def released_of(connection: Connection, claim_ids: Sequence[str]) -> list[Claim]:
    """Those of the claims that were given back."""
    if not claim_ids:
        return []
    return [to_struct(row, Claim) for row in connection.execute(_RELEASED, {"ids": claim_ids}).mappings()]


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


_LIVE_COUNTS = (
    select(claims.c.owner, claims.c.host, func.count()).where(LIVE_CLAIM).group_by(claims.c.owner, claims.c.host)
)


def live_counts(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Live claims by owner and by host."""
    owners: dict[str, int] = {}
    hosts: dict[str, int] = {}
    for owner, host, count in connection.execute(_LIVE_COUNTS):
        owners[owner] = owners.get(owner, 0) + count
        hosts[host] = hosts.get(host, 0) + count
    return owners, hosts


def overdue(connection: Connection, now: datetime, limit: int) -> list[Claim]:
    """Live claims whose deadline has passed, the most overdue first."""
    rows = connection.execute(
        select(claims).where(LIVE_CLAIM, claims.c.deadline <= now).order_by(claims.c.deadline).limit(limit)
    ).mappings()
    return [to_struct(row, Claim) for row in rows]


def next_deadline(connection: Connection) -> datetime | None:
    """When the next live claim runs out of time."""
    return connection.execute(
        select(func.min(claims.c.deadline, type_=claims.c.deadline.type)).where(LIVE_CLAIM)
    ).scalar_one()


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
    moved = tx.connection.execute(
        update(claims)
        .where(claims.c.id == claim.id, claims.c.state == claim.state.value, claims.c.generation == claim.generation)
        .values(values)
    )
    if moved.rowcount != 1:
        return Rejected(claim.state.value, change.event.value, "the claim has moved on: state or generation differ")
    if after not in _JIT_STATES:
        tx.connection.execute(delete(jit_configs).where(jit_configs.c.claim_id == claim.id))
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
        tx.nudges.update({"dispatch", f"host:{claim.host}"})
    elif after is ClaimState.MINTED:
        tx.nudges.add(f"host:{claim.host}")
    tx.nudges.add("claims")
    return msgspec.structs.replace(claim, **{**values, "state": after})


def set_facts(tx: Tx, claim: Claim, **values: Any) -> Claim:
    """Changes columns that are facts and not the state, under the same compare-and-set."""
    tx.connection.execute(
        update(claims)
        .where(claims.c.id == claim.id, claims.c.state == claim.state.value, claims.c.generation == claim.generation)
        .values(values)
    )
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
    homes: dict[int | None, str] = {
        row.id: row.repository
        for row in tx.connection.execute(
            select(jobs.c.id, jobs.c.repository).where(jobs.c.id.in_([demand for _, demand in pairs]))
        )
    }
    for claim, _ in pairs:
        # Both let go first: the index on live jobs allows one claim a job at every moment.
        tx.connection.execute(update(claims).where(claims.c.id == claim.id).values(job_id=None))
    for claim, demand in pairs:
        tx.connection.execute(
            update(claims)
            .where(claims.c.id == claim.id, claims.c.generation == claim.generation)
            .values(
                job_id=demand,
                repository=homes.get(demand, claim.repository),
                generation=claim.generation + 1,
            )
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
    rows = connection.execute(_TO_START, {"host": host}).mappings()
    return [(to_struct(row, Claim), row["config"]) for row in rows]
