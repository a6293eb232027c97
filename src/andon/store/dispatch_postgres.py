"""A round of dispatch on PostgreSQL: one statement reads all of it, one writes all of it.

Each way to the server and back, and each row on the way, costs both sides more than the work on it
does. So the server cuts the waiting jobs down to those that can matter, and writes the journal line
and the act of each claim from the claim itself. What is read and written is what `store.dispatch`
reads and writes through the general queries on SQLite; a test plays the same fleets on both.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg.errors import UniqueViolation

from andon.model.claim_states import CLAIMS, ClaimState
from andon.model.nouns import Claim
from andon.rules.dispatch import FreeSlot, Policy, Snapshot, WaitingJob
from andon.store import adopted_slots, disk_facts
from andon.store.columns import encode_json_bytes, from_micros, to_micros
from andon.store.driver import Statement, driver_of, number
from andon.store.jobs import GIVEN_UP
from andon.store.pause_trials import jobs_to_try
from andon.store.pauses import pauses
from andon.store.schema import LIVE_CLAIM
from andon.store.transaction import Tx

_LIVE = f"claims.{LIVE_CLAIM.text}"

# $1: pools as JSON. $2: caps as JSON. $3: the batch. $4: now.
# `most`: an owner with a cap is read as far as his room goes, and one job further: the one that is
# withheld. `slack`: how many withheld jobs can stand before jobs that can be placed. With several
# pools an owner's room can be used up in another one first; then all that is read of him may be.
# What adopted runners may take (`adopted`) stands before what is placed, so that much more is read; $5: and so many
# jobs more, which have no room on any disk.
# Conditions on few rows are uncorrelated (NOT IN), so that the server reads each once and hashes it.
_READ = Statement(
    "read_round",
    f"""
WITH RECURSIVE
given AS (SELECT * FROM json_to_recordset($1) AS given(pool text, trust text, listed text[])),
caps AS (SELECT * FROM json_to_recordset($2) AS caps(owner text, cap int)),
held AS MATERIALIZED (SELECT owner, host, count(*) AS many FROM claims WHERE {_LIVE} GROUP BY owner, host),
free AS MATERIALIZED (
    SELECT slots.host, slots.slot, slots.pool, slots.failed_starts, coalesce(many, 0) AS failing, hosts.disks
    FROM slots JOIN hosts ON hosts.name = slots.host
    LEFT JOIN (SELECT host, count(*) AS many FROM slots WHERE failed_starts > 0 GROUP BY host) AS failing
    ON failing.host = slots.host
    WHERE slots.state = 'idle' AND slots.kind = 'jit' AND slots.intent = 'open'
      AND hosts.intent = 'open' AND hosts.observed = 'reporting'
      AND (slots.rests_until IS NULL OR slots.rests_until <= $4::bigint)
      AND NOT EXISTS (SELECT FROM claims WHERE claims.host = slots.host AND claims.slot = slots.slot AND {_LIVE})
),
wanted AS (
    SELECT given.*, adopted, (SELECT count(*) FROM given) > 1 AS several,
           least((SELECT count(*) FROM free WHERE free.pool = given.pool), $3::int) + 1 + adopted AS each
    FROM given CROSS JOIN LATERAL (
        SELECT count(*)::int + $5::int AS adopted FROM slots WHERE kind = 'adopted' AND slots.pool = given.pool
    ) AS persistent
),
paused AS (
    SELECT pauses.owner, pauses.repository, wanted.pool
    FROM pauses JOIN wanted ON pauses.pool IN ('', wanted.pool)
),
waiting(pool, owner) AS (
    SELECT pool, (SELECT min(owner) FROM jobs WHERE status = 'queued' AND jobs.pool = wanted.pool) FROM wanted
    UNION ALL
    SELECT pool, (SELECT min(jobs.owner) FROM jobs
                  WHERE status = 'queued' AND jobs.pool = waiting.pool AND jobs.owner > waiting.owner)
    FROM waiting WHERE owner IS NOT NULL
),
limits AS MATERIALIZED (
    SELECT owner, pool, least(each, room + adopted) AS most,
           CASE WHEN room IS NULL THEN 0 WHEN several THEN least(each, room + adopted)
                ELSE greatest(least(each, room + adopted) - room + 1, 0) END AS slack
    FROM waiting JOIN wanted USING (pool) LEFT JOIN (
        SELECT owner, greatest(cap - coalesce(used, 0), 0)::int + 1 AS room
        FROM caps LEFT JOIN (SELECT owner, sum(many) AS used FROM held GROUP BY owner) AS used USING (owner)
    ) AS rooms USING (owner)
    WHERE owner IS NOT NULL AND (owner, pool) NOT IN (SELECT owner, pool FROM paused WHERE repository = '')
),
found AS (
    SELECT oldest.* FROM wanted CROSS JOIN LATERAL (
        SELECT each_oldest.* FROM limits CROSS JOIN LATERAL (
            SELECT id, repository, owner, pool, run_id, attempt, coalesce(queued_at, created_at) AS since, fork,
                   name
            FROM jobs
            WHERE status = 'queued' AND jobs.pool = limits.pool AND jobs.owner = limits.owner
              AND (repository, jobs.pool) NOT IN (SELECT repository, pool FROM paused)
              AND (trust = 'any' OR (NOT fork AND (trust = 'no-forks' OR lower(repository) = ANY (listed))))
              AND id NOT IN (SELECT job_id FROM claims WHERE {_LIVE} AND job_id IS NOT NULL)
            ORDER BY queued_at, id
            LIMIT most
        ) AS each_oldest
        WHERE limits.pool = wanted.pool
        ORDER BY since, id
        LIMIT each + (SELECT coalesce(sum(slack), 0) FROM limits WHERE limits.pool = wanted.pool)
    ) AS oldest
)
SELECT (SELECT json_agg(json_build_array(host, slot, pool, failed_starts, failing, disks)) FROM free)::text,
       (SELECT json_agg(json_build_array(id, repository, owner, pool, run_id, attempt, since, fork, name))
        FROM found)::text,
       (SELECT json_agg(json_build_array(owner, host, many)) FROM held)::text,
       EXISTS (SELECT FROM jobs WHERE status = 'queued' AND fork IS NULL
               AND jobs.pool IN (SELECT pool FROM given WHERE trust <> 'any')),
       (SELECT json_agg(json_build_array(id, host, slot, many)) FROM (
            SELECT found.id, host, slot, count(*) AS many
            FROM found CROSS JOIN LATERAL (
                SELECT host, slot FROM claims WHERE job_id = found.id AND {GIVEN_UP} OFFSET 0
            ) AS places
            GROUP BY found.id, host, slot ORDER BY found.id, host, slot
       ) AS given_up)::text,
       EXISTS (SELECT FROM pauses WHERE until <= $4::bigint),
       EXISTS (SELECT FROM slots WHERE kind = 'adopted')
""",
)

_free = msgspec.json.Decoder(list[tuple[str, int, str, int, int, int]])
_waiting = msgspec.json.Decoder(list[tuple[int, str, str, str, int, int, int, bool | None, str]])
_given_up = msgspec.json.Decoder(list[tuple[int, str, int, int]])
_held = msgspec.json.Decoder(list[tuple[str, str, int]])


def look(tx: Tx, policy: Policy, further: int = 0, *, by_room: bool = True) -> tuple[Snapshot, bool]:
    """The oldest waiting jobs, as many as could possibly be placed or withheld, and the free slots; and
    whether there is a run that its pool needs to know of. `further` and `by_room`: as for `dispatch.snapshot`."""
    pools = [
        {"pool": pool.name, "trust": pool.trust, "listed": [name.lower() for name in pool.repositories]}
        for pool in policy.pools.values()
    ]
    caps = [{"owner": owner, "cap": cap} for owner, cap in policy.max_slots.items()]
    values = (
        encode_json_bytes(pools),
        encode_json_bytes(caps),
        number(policy.batch),
        number(to_micros(tx.now)),
        number(further),
    )
    with driver_of(tx.connection) as driver:
        found = driver.run(_READ, values)
    free, waiting, held, unknown, given_up, tries, adopted = (found.get_value(0, column) for column in range(7))
    by_owner: dict[str, int] = {}
    by_host: dict[str, int] = {}
    for owner, host, many in _held.decode(held or b"[]"):
        by_owner[owner] = by_owner.get(owner, 0) + many
        by_host[host] = by_host.get(host, 0) + many
    places: dict[int, list[tuple[str, int, int]]] = {}
    for job_id, host, slot, times in _given_up.decode(given_up or b"[]"):
        places.setdefault(job_id, []).append((host, slot, times))
    to_try: list[WaitingJob] = []
    if free and tries == b"t":
        # After failures of GitHub only: it may cost statements of its own.
        to_try = jobs_to_try(tx.connection, pauses(tx.connection), policy, tx.now)
    work = [
        WaitingJob(
            id=job_id,
            repository=repository,
            owner=owner,
            pool=pool,
            run_id=run_id,
            attempt=attempt,
            queued_at=from_micros(since),
            fork=bool(fork),
            name=name,
            given_up=tuple(places.get(job_id, ())),
        )
        for job_id, repository, owner, pool, run_id, attempt, since, fork, name in _waiting.decode(waiting or b"[]")
    ]
    work += to_try
    open_ = [
        FreeSlot(host=host, slot=slot, pool=pool, failed_starts=failed, failing_slots=failing, tells_disks=disks > 0)
        for host, slot, pool, failed, failing, disks in _free.decode(free or b"[]")
    ]
    seen = Snapshot(
        waiting=tuple(work),
        free=tuple(open_),
        live_claims=by_owner,
        host_load=by_host,
        takers=adopted_slots.takers(tx.connection, tx.now) if adopted == b"t" and waiting else (),
        now=tx.now,
        disks=disk_facts.for_dispatch(tx.connection, open_, work) if by_room else None,
    )
    return seen, unknown == b"t"


# $1: the claims as JSON. $2: pools as JSON. $3: now. $4: the deadline.
# The ids of line and act are the claim's with another prefix: as unique, and not made one by one.
def _writing(on_conflict: str) -> str:
    return f"""
WITH kept AS (
    INSERT INTO claims (id, job_id, owner, repository, pool, host, slot, state, generation, runner_name,
                        created_at, since, deadline)
    SELECT id, job_id, owner, repository, pool, host, slot, 'reserved', 1, runner, $3::bigint, $3, $4::bigint
    FROM json_to_recordset($1) AS given(id text, job_id bigint, owner text, repository text, pool text,
                                        host text, slot int, runner text)
    {on_conflict}
    RETURNING id, job_id, owner, repository, pool, host, slot, runner_name
), lines AS (
    INSERT INTO journal (id, at, actor, kind, subject_kind, subject_id, generation, to_state, reason, mode, evidence,
                         job_id, host)
    SELECT 'jrn' || substr(id, 4), $3, 'loop:dispatch', 'claim.reserved', 'claim', id, 1, 'reserved',
           'oldest waiting job of ' || owner || ' in pool ' || pool || '; slot ' || host || '/' || slot || ' was free',
           'act', '{{"runner":' || to_json(runner_name) || '}}', job_id, host
    FROM kept
), acts AS (
    INSERT INTO outbox (id, kind, idempotency_key, subject, generation, payload, state, attempts, not_before,
                        created_at)
    SELECT 'act' || substr(id, 4), 'mint_runner', 'mint:' || id, id, 1,
           '{{"owner":' || to_json(owner) || ',"repository":' || to_json(repository) || ',"name":' ||
           to_json(runner_name) || ',"group":' || runner_group || ',"labels":' || labels || '}}',
           'pending', 0, $3, $3
    FROM kept JOIN json_to_recordset($2) AS pools(name text, runner_group json, labels json) ON pools.name = kept.pool
)
SELECT id FROM kept
"""


_WRITE = Statement("write_round", _writing(""))
_WRITE_CAREFULLY = Statement("write_round_carefully", _writing("ON CONFLICT DO NOTHING"))
"""Asks every unique index before each row, which costs a quarter more."""


def reserve(tx: Tx, wanted: Sequence[Claim], policy: Policy) -> set[str]:
    """Inserts new claims, with journal line and act of each; gives the ids of those that broke no
    unique index (R17). The others leave nothing behind.

    All of `wanted` are new: reserved now, in their first generation.
    """
    if not wanted:
        return set()
    rows: list[dict[str, Any]] = [
        {
            "id": claim.id,
            "job_id": claim.job_id,
            "owner": claim.owner,
            "repository": claim.repository,
            "pool": claim.pool,
            "host": claim.host,
            "slot": claim.slot,
            "runner": claim.runner_name,
        }
        for claim in wanted
    ]
    pools = [
        {"name": pool.name, "runner_group": pool.runner_group_id, "labels": pool.labels}
        for pool in policy.pools.values()
    ]
    values = (
        encode_json_bytes(rows),
        encode_json_bytes(pools),
        number(to_micros(tx.now)),
        number(to_micros(tx.now + CLAIMS.limit(ClaimState.RESERVED))),
    )
    tx.nudges.add("outbox")
    with driver_of(tx.connection) as driver:
        # Nobody takes a job or a slot between our snapshot and our claim, so none is expected to lose.
        # One that does all the same (to a writer without the writers' lock) undoes only this statement.
        try:
            kept = driver.run_after(b"SAVEPOINT before_claims", _WRITE, values)
        except UniqueViolation:
            driver.say(b"ROLLBACK TO SAVEPOINT before_claims")
            kept = driver.run(_WRITE_CAREFULLY, values)
    return {(kept.get_value(row, 0) or b"").decode() for row in range(kept.ntuples)}
