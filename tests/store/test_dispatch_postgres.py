"""The two statements of a round of dispatch on PostgreSQL do what the general ones do, and a claim that
loses to a unique index leaves nothing behind (R17)."""

import re
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update

from andon.model.claim_states import ClaimState
from andon.model.nouns import Claim
from andon.rules.dispatch import NO_DISK, Leave, LetLie, Place, Policy, Withhold, decide
from andon.runtime.errors import AndonError
from andon.store import claims, dispatch_postgres
from andon.store.database import Unavailable
from andon.store.dispatch import dispatch_once, reserve, reserve_each, snapshot
from andon.store.schema import claims as claims_table
from andon.store.schema import disks, growth, hosts, jobs, journal, outbox, pauses, registrations, slots, workspaces
from andon.store.transaction import Store, Tx
from tests.support.builders import LABELS, START, a_claim, a_pool, at
from tests.support.running import read, rows, write

DATABASES = ("postgresql",)
OWNERS = ("acme", "beta", "gamma", "delta")
NAMES = ("linux", "gpu", "arm")
OVER = (ClaimState.RELEASED, ClaimState.RELEASED, ClaimState.SETTLED)
TRUSTS = ("any", "no-forks", "repositories")


def a_fleet(connection: Connection, rng: Random) -> Policy:
    """Hosts, slots, jobs, live claims and pauses by chance, and the policy that they meet."""
    for table in (jobs, claims_table, hosts, slots, registrations, pauses, journal, outbox, disks, workspaces, growth):
        connection.execute(delete(table))
    names = NAMES[: rng.randint(1, 3)]
    persistent = rng.choice([0, 0, 2, 9])
    for number in range(rng.randint(1, 4)):
        host = f"host-{number}"
        connection.execute(
            insert(hosts).values(
                name=host,
                intent=rng.choice(["open"] * 5 + ["cordoned"]),
                observed=rng.choice(["reporting"] * 5 + ["silent"]),
                seq=0,
                disk=[],
                enrolled_at=START,
            )
        )
        some_disks(connection, rng, host)
        for slot in range(rng.randint(3, 8)):
            row = {"host": host, "slot": slot, "kind": rng.choice(["jit"] * 5 + ["other"] + ["adopted"] * persistent)}
            row |= {"pool": rng.choice(names), "intent": rng.choice(["open"] * 5 + ["cordoned"])}
            row |= {"rests_until": rng.choice([None] * 4 + [at(-1), START, at(1)])}
            row |= {"failed_starts": rng.choice([0] * 3 + [1, 2])}
            runner = f"r-{number}-{slot}" if row["kind"] == "adopted" else None
            since = at(rng.choice([-60, 0, 0]))
            connection.execute(
                insert(slots).values(**row, runner=runner, state=rng.choice(["idle"] * 5 + ["busy"]), since=since)
            )
            if runner is not None:
                a_registration(connection, rng, runner)
    numbers = range(1, rng.randint(2, 50))
    for number in numbers:
        owner = rng.choice(OWNERS)
        a_job(
            connection,
            number,
            owner,
            rng.choice([*names, *names, None]),
            repository=f"{owner}/{rng.choice(['app', 'Site'])}",
            status=rng.choice(["queued", "queued", "queued", "in_progress"]),
            queued_at=at(rng.randrange(40)),
            fork=rng.choice([False, False, True, None]),
            name=rng.choice(["build", "test (a)", "lint"]),
        )
    for key, size in (("build", 3), ("test", 9)):
        kind = {"repository": f"{rng.choice(OWNERS)}/app", "job_key": key, "pool": rng.choice(names)}
        learnt = {"p95": size, "sizes": 1, "names": [key], "learnt_at": START}
        connection.execute(insert(growth).values(**kind, **learnt))
    for number in rng.sample(numbers, min(len(numbers), rng.randint(0, 6))):
        live = {"job_id": number, "owner": rng.choice(OWNERS), "host": "host-0", "slot": number}
        claims.reserve(Tx(connection, START, _no_ids()), [a_claim(f"clm_live_{number}", **live)])
    for over in range(rng.randint(0, 40)):
        known = {"job_id": rng.choice(numbers), "host": f"host-{rng.randrange(4)}", "slot": rng.randrange(4)}
        known |= {"runner_id": rng.choice([None, over, over])}
        claims.reserve(Tx(connection, START, _no_ids()), [a_claim(f"clm_over_{over}", state=rng.choice(OVER), **known)])
    for owner in rng.sample(OWNERS, rng.randint(0, 3)):
        connection.execute(
            insert(pauses).values(
                owner=owner,
                repository=rng.choice(["", f"{owner}/app"]),
                pool=rng.choice(["", *names]),
                until=START + timedelta(seconds=rng.choice([-5, 500, 500])),
                failures=1,
                reason="r",
            )
        )
    pools = {
        name: a_pool(name=name, trust=rng.choice(TRUSTS), repositories=("acme/App", "beta/site")) for name in names
    }
    caps = {owner: rng.randint(0, 4) for owner in OWNERS if rng.random() < 0.6}
    return Policy(pools=pools, max_slots=caps, batch=rng.choice([1, 5, 50, 50]))


def some_disks(connection: Connection, rng: Random, host: str) -> None:
    """Small ones, that some jobs do not fit on, and workspaces of jobs at work."""
    if rng.random() < 0.5:
        return
    row = {"host": host, "total": 100, "inodes": 0, "inodes_free": 0, "level": "ok", "classes": [], "pinned": []}
    row |= {"passes": [], "told_at": START, "level_since": START}
    free, floor, taken = rng.choice([0, 4, 12, 30]), rng.choice([0, 1, 3]), list(range(rng.randint(0, 9)))
    admits = rng.random() < 0.9
    connection.execute(insert(disks).values(**row, mount="/", free=free, floor=floor, slots=taken, admits=admits))
    connection.execute(update(hosts).where(hosts.c.name == host).values(disks=1))
    space = {"host": host, "run_id": 1, "attempt": 1, "repository": "acme/app", "held_by": [], "standalone": False}
    for slot in rng.sample(range(9), rng.randint(0, 2)):
        at_work = {"id": f"w-{slot}", "slot": slot, "job_key": rng.choice(["build", "lint"])}
        at_work |= {"bytes": rng.choice([None, 2])}
        told = {"state": rng.choice(["leased", "dead"]), "made_at": START, "seen_at": START}
        connection.execute(insert(workspaces).values(**space, **at_work, **told))


def a_registration(connection: Connection, rng: Random, name: str) -> None:
    """An adopted runner in GitHub's list."""
    owner = rng.choice(OWNERS)
    row: dict[str, Any] = {
        "owner": owner,
        "repository": rng.choice(["", "", f"{owner}/app"]),
        "name": name,
        "runner_id": 1,
        "status": rng.choice(["online"] * 5 + ["offline"]),
        "busy": rng.choice([False] * 5 + [True]),
        "since": START,
        "reads": 1,
        "read_at": START,
    }
    connection.execute(insert(registrations).values(**row))


def a_job(connection: Connection, number: int, owner: str, pool: str | None, **changes: Any) -> None:
    row: dict[str, Any] = {
        "id": number,
        "repository": f"{owner}/app",
        "owner": owner,
        "run_id": number,
        "attempt": 1,
        "name": "n",
        "sha": "a" * 40,
        "labels": LABELS,
        "pool": pool,
        "status": "queued",
        "created_at": START,
        "queued_at": at(number),
        "fork": False,
        "observed_at": START,
    }
    connection.execute(insert(jobs).values(**{**row, **changes}))


def _no_ids() -> Any:
    return None


def test_what_is_read_leads_to_the_same_decisions(store: Store, count: Callable[[int], int]) -> None:
    placed = capped = again = left = no_room = 0

    def compare(tx: Tx, seed: int) -> None:
        nonlocal placed, capped, again, left, no_room
        policy = a_fleet(tx.connection, Random(seed))
        seen, unknown = dispatch_postgres.look(tx, policy)
        general, short = decide(snapshot(tx, policy), policy), decide(seen, policy)
        places = [each for each in short if isinstance(each, Place)]
        assert places == [each for each in general if isinstance(each, Place)], seed
        of_takers = [each for each in short if isinstance(each, Leave | LetLie)]
        # What lies deeper than a cap lets anything be placed need not be read to be left to a runner.
        assert all(each in general for each in of_takers), seed
        left += len(of_takers)
        withheld = [each for each in short if isinstance(each, Withhold)]
        assert all(each in general for each in withheld), seed
        trusting = [name for name, pool in policy.pools.items() if pool.trust == "any"]
        asked = select(jobs.c.id).where(jobs.c.status == "queued", jobs.c.fork.is_(None))
        asked = asked.where(jobs.c.pool.in_([name for name in policy.pools if name not in trusting]))
        assert unknown == (tx.connection.execute(asked).first() is not None), seed
        if seen.disks is not None:
            no_room += sum(each.cause == NO_DISK for each in withheld)
            further, _ = dispatch_postgres.look(tx, policy, 100)
            assert [each for each in decide(further, policy) if isinstance(each, Place)] == [
                each for each in decide(snapshot(tx, policy, 100), policy) if isinstance(each, Place)
            ], seed
        placed += len(places)
        capped += len(withheld)
        again += sum(bool(each.job.given_up) for each in places)

    fleets = count(800)
    for seed in range(fleets):
        write(store, lambda tx, seed=seed: compare(tx, seed))
    assert placed > fleets
    assert left > fleets // 8
    assert capped > fleets // 4
    assert again > fleets // 4
    assert no_room > fleets // 8


CROWDED: dict[str, tuple[list[tuple[str, str]], dict[str, int], list[int]]] = {
    "three owners without room are older": (
        [("acme", "linux"), ("gamma", "linux"), ("delta", "linux"), ("beta", "linux"), ("beta", "linux")],
        {"acme": 0, "gamma": 0, "delta": 0},
        [4, 5],
    ),
    "an owner's room is used up in another pool": (
        [("acme", "linux")] * 2 + [("acme", "gpu")] * 3 + [("beta", "gpu")] * 2,
        {"acme": 2},
        [1, 2, 6, 7],
    ),
}


@pytest.mark.parametrize("name", CROWDED)
def test_jobs_that_must_wait_hide_none_that_need_not(store: Store, name: str) -> None:
    """R19, where the oldest jobs fill what a round reads. Two slots in each pool."""
    waiting, caps, expected = CROWDED[name]

    def work(tx: Tx) -> list[int]:
        host: dict[str, Any] = {
            "name": "host-a",
            "intent": "open",
            "observed": "reporting",
            "seq": 0,
            "disk": [],
            "enrolled_at": START,
        }
        tx.connection.execute(insert(hosts).values(host))
        for slot, pool in enumerate(["linux", "linux", "gpu", "gpu"]):
            row = {"host": "host-a", "slot": slot, "kind": "jit", "pool": pool, "intent": "open", "state": "idle"}
            tx.connection.execute(insert(slots).values(**row, since=START))
        for number, (owner, pool) in enumerate(waiting, 1):
            a_job(tx.connection, number, owner, pool)
        pools = {pool: a_pool(name=pool) for pool in ("linux", "gpu") if any(pool == of for _, of in waiting)}
        policy = Policy(pools=pools, max_slots=caps)
        general = [each.job.id for each in decide(snapshot(tx, policy), policy) if isinstance(each, Place)]
        assert sorted(general) == expected, "the general statements"
        done = dispatch_once(tx, policy, fleet="f", mode="act")
        return sorted(claim.job_id or 0 for claim in done.claimed)

    assert write(store, work) == expected


def test_what_is_over_holds_nothing_back(store: Store) -> None:
    """The job, its slot and its owner had a claim, the owner a pause; a live claim without a job is no job's."""

    def work(tx: Tx) -> list[int | None]:
        host: dict[str, Any] = {
            "name": "host-a",
            "intent": "open",
            "observed": "reporting",
            "seq": 0,
            "disk": [],
            "enrolled_at": START,
        }
        tx.connection.execute(insert(hosts).values(**host))
        slot = {"host": "host-a", "slot": 1, "kind": "jit", "pool": "linux", "intent": "open", "state": "idle"}
        tx.connection.execute(insert(slots).values(**slot, since=START))
        a_job(tx.connection, 1, "acme", "linux")
        claims.reserve(tx, [a_claim("clm_over", job_id=1, slot=1)])
        tx.connection.execute(update(claims_table).values(state="settled"))
        claims.reserve(tx, [a_claim("clm_jobless", job_id=None, owner="beta", host="host-b")])
        pause = {"owner": "acme", "repository": "", "pool": "", "failures": 1, "reason": "r"}
        tx.connection.execute(insert(pauses).values(**pause, until=START - timedelta(seconds=5)))
        done = dispatch_once(tx, Policy(pools={"linux": a_pool()}, max_slots={"acme": 1}), fleet="f", mode="act")
        return [claim.job_id for claim in done.claimed]

    assert write(store, work) == [1]


class Undone(AndonError):
    """Takes a transaction back."""


def test_what_is_written_is_the_same(store: Store) -> None:
    """But for the ids of lines and acts, which nobody compares."""
    odd = {"owner": 'o"\\\u00e9', "repository": 'o"/%s {app}', "runner_name": 'r"\\', "host": "host-\u4e2d"}
    policy = Policy(
        pools={"linux": a_pool(runner_group_id=7), "gpu": a_pool(name="gpu", labels=('q"', "x"))}, max_slots={}
    )
    wanted = [
        new("clm_a", slot=1),
        new("clm_b", job_id=2, slot=2, pool="gpu"),
        new("clm_c", job_id=2**60, slot=3, **odd),
    ]

    def written(by: Callable[[Tx, list[Claim], Policy], object]) -> list[list[dict[str, Any]]]:
        found: list[list[dict[str, Any]]] = []

        def work(tx: Tx) -> None:
            by(tx, [restamped(claim, tx) for claim in wanted], policy)
            tx.finish()
            for table, order in ((claims_table, "id"), (journal, "subject_id"), (outbox, "subject")):
                lines = tx.connection.execute(select(table).order_by(table.c[order])).mappings()
                hidden = () if table is claims_table else ("id", "seq")
                found.append([{name: row[name] for name in row if name not in hidden} for row in lines])
            raise Undone

        with pytest.raises(Undone):
            write(store, work)
        return found

    ours = written(dispatch_postgres.reserve)
    assert ours == written(reserve_each)
    assert [len(table) for table in ours] == [3, 3, 3]


def new(claim_id: str, **changes: Any) -> Claim:
    return a_claim(claim_id, **changes)


def restamped(claim: Claim, tx: Tx) -> Claim:
    """Reserved at the moment of the transaction."""
    return a_claim(
        claim.id,
        job_id=claim.job_id,
        owner=claim.owner,
        repository=claim.repository,
        runner_name=claim.runner_name,
        pool=claim.pool,
        host=claim.host,
        slot=claim.slot,
        created_at=tx.now,
        since=tx.now,
        deadline=tx.now + timedelta(seconds=30),
    )


@pytest.mark.parametrize("lost", [{"job_id": 1}, {"slot": 1}, {"runner_name": "andon-f-rival"}])
def test_a_claim_that_loses_leaves_nothing_behind(store: Store, lost: dict[str, Any]) -> None:
    """The others of its round are kept, with line and act."""
    rival = a_claim("clm_rival", job_id=1, slot=1, runner_name="andon-f-rival")
    loser = a_claim("clm_loser", **{"job_id": 2, "slot": 2, **lost})
    winner = a_claim("clm_winner", job_id=3, slot=3)
    policy = Policy(pools={"linux": a_pool()}, max_slots={})
    write(store, lambda tx: claims.reserve(tx, [rival]))
    kept = write(store, lambda tx: reserve(tx, [loser, winner], policy))
    assert [claim.id for claim in kept] == ["clm_winner"]
    assert {row["id"] for row in rows(store, select(claims_table))} == {"clm_rival", "clm_winner"}
    assert [row["subject_id"] for row in rows(store, select(journal))] == ["clm_winner"]
    assert [row["subject"] for row in rows(store, select(outbox))] == ["clm_winner"]


def test_a_round_whose_transaction_fails_leaves_nothing_behind(store: Store) -> None:
    def work(tx: Tx) -> None:
        assert reserve(tx, [a_claim()], Policy(pools={"linux": a_pool()}, max_slots={}))
        raise Undone

    with pytest.raises(Undone):
        write(store, work)
    assert [rows(store, select(table)) for table in (claims_table, journal, outbox)] == [[], [], []]


def test_a_connection_that_is_lost_while_claims_are_written_is_replaced(store: Store) -> None:
    """Nothing of the message to the server is kept, and the next transaction is on a new connection."""
    policy = Policy(pools={"linux": a_pool()}, max_slots={})

    def work(tx: Tx) -> None:
        own = tx.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        read(store, lambda c: c.execute(text("SELECT pg_terminate_backend(:own, 5000)"), {"own": own}).scalar_one())
        reserve(tx, [a_claim()], policy)

    with pytest.raises(Unavailable):
        write(store, work)
    assert rows(store, select(claims_table)) == []
    assert len(write(store, lambda tx: reserve(tx, [a_claim()], policy))) == 1


def test_no_statement_of_a_round_scans_a_table_that_grows(store: Store) -> None:
    plans: list[str] = []

    def work(tx: Tx) -> None:
        policy = Policy(pools={"linux": a_pool(trust="no-forks")}, max_slots={"acme": 1})
        dispatch_once(tx, policy, fleet="f", mode="act")
        (name,) = tx.connection.execute(text("SELECT name FROM pg_prepared_statements WHERE name LIKE '%read%'")).one()
        asked = f"EXPLAIN EXECUTE {name}('[]', '[]', 50, 0, 0)"
        plans.extend(row[0] for row in tx.connection.execute(text(asked)))

    write(store, work)
    assert any("ix_jobs_queued" in line for line in plans)
    assert [line for line in plans if re.search(r"(Seq|Bitmap \w+) Scan on (jobs|claims)", line)] == []
