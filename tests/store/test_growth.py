"""What jobs wrote is learnt by kind of job and by pool, from the workspaces that hosts tell of (R51)."""

from random import Random
from typing import Any

import pytest
from sqlalchemy import func, select

from andon.model.disk import Deletion
from andon.model.nouns import Host
from andon.model.wire import LeaseReport
from andon.rules.growth import UNHEARD_OF, Basis, Expected, Growth, p95
from andon.store import claims, hosts
from andon.store.apply_news import apply_job_news
from andon.store.apply_sync import apply_report
from andon.store.growth import growth_of
from andon.store.retention import prune
from andon.store.schema import growth, growth_samples
from andon.store.transaction import Store, Tx
from andon.store.workspaces import words_for
from tests.support.builders import START, a_claim, a_config, a_report, idle, job_news
from tests.support.running import read, rows, write

CONFIG = a_config()
GIB = 2**30


@pytest.fixture(autouse=True)
def host(store: Store) -> None:
    write(store, lambda tx: hosts.enrol(tx, "host-a", "aht_x"))
    tell(store)


def a_lease(id: str = "l-1", state: str = "dead", **changes: Any) -> LeaseReport:
    given: dict[str, Any] = {"id": id, "run_id": 10, "attempt": 1, "state": state, "slot": 0, "job": "test"}
    return LeaseReport(**{**given, "repository": "Acme/App", **changes})


def tell(store: Store, *leases: LeaseReport, deletions: tuple[Deletion, ...] = ()) -> None:
    def work(tx: Tx) -> None:
        known = hosts.get_host(tx.connection, "host-a")
        assert isinstance(known, Host)
        slots = (idle(0), idle(1, "gpu"))
        apply_report(tx, known, a_report(slots, leases=leases, seq=known.seq + 1, deletions=deletions), {})

    write(store, work)


def learnt(store: Store, *repositories: str) -> Growth:
    return read(store, lambda connection: growth_of(connection, repositories or ("acme/app",)))


def how_many(store: Store) -> int:
    return rows(store, select(func.count().label("n")).select_from(growth_samples))[0]["n"]


def kind(size: int) -> Expected:
    return Expected(bytes=size, basis=Basis.KIND)


def test_the_size_of_a_job_counts_once_it_is_over(store: Store) -> None:
    tell(store, a_lease(state="leased", bytes=3 * GIB))
    assert learnt(store).of_key("acme/app", "linux", "test") == Expected(bytes=UNHEARD_OF, basis=Basis.NOTHING)
    tell(store, a_lease(state="draining", bytes=5 * GIB))
    known = learnt(store)
    assert known.of_key("ACME/app", "linux", "test") == kind(5 * GIB)
    assert known.of_key("acme/app", "linux", "lint") == Expected(bytes=5 * GIB, basis=Basis.POOL)
    assert known.of_key("acme/app", "gpu", "test").basis is Basis.NOTHING
    assert learnt(store, "acme/other").of_key("acme/other", "linux", "test").basis is Basis.POOL


def test_one_job_is_one_size_and_its_largest(store: Store) -> None:
    tell(store, a_lease(state="leased"))
    for state, size in (("draining", 5), ("dead", 7), ("trashed", 2)):
        tell(store, a_lease(state=state, bytes=size))
    tell(store)
    assert how_many(store) == 1 and learnt(store).of_key("acme/app", "linux", "test") == kind(7)


@pytest.mark.parametrize("status", ["in_progress", "completed", None])
def test_one_that_vanished_at_work_counts_only_when_its_job_is_over(store: Store, status: str | None) -> None:
    """A reboot breaks jobs off: what they had written until then says nothing of what they write."""

    def runs(tx: Tx) -> None:
        claims.reserve(tx, [a_claim(runner_name="r-1")])
        apply_job_news(tx, job_news(status=status or "queued", name="test", runner_name="r-1"), CONFIG)

    if status is not None:
        write(store, runs)
    tell(store, a_lease(state="leased", bytes=4, runner="r-1"))
    tell(store)
    assert how_many(store) == (status == "completed")


def test_one_that_vanished_after_its_job_counts_with_what_was_told_of_it(store: Store) -> None:
    tell(store, a_lease(state="draining"))
    tell(store, a_lease(state="draining", bytes=4))
    tell(store)
    assert learnt(store).of_key("acme/app", "linux", "test") == kind(4)


@pytest.mark.parametrize(("actor", "size"), [("agent:keeper", 5 * GIB), ("foreign", 4 * GIB)])
def test_one_that_was_measured_last_counts_with_the_word_of_its_deletion(store: Store, actor: str, size: int) -> None:
    """What somebody else deleted may be a part of it."""
    tell(store, a_lease(bytes=4 * GIB))
    gone = Deletion(
        id="del_1", at=START, path="/p", path_class="dead", actor=actor, reason="r", bytes=5 * GIB, lease="l-1"
    )
    tell(store, deletions=(gone,))
    assert learnt(store).of_key("acme/app", "linux", "test") == kind(size)


def test_the_newest_fifty_of_a_kind_are_kept_and_the_others_forgotten(store: Store, clock: Any) -> None:
    for number in range(53):
        clock.advance(60)
        tell(store, a_lease(f"l-{number}", bytes=1000 - number))
        tell(store)
    assert how_many(store) == 50
    # Of fifty sizes from 948 to 997, two are larger than the p95.
    assert learnt(store).of_key("acme/app", "linux", "test") == kind(995)
    assert rows(store, select(growth.c.sizes).where(growth.c.repository == "acme/app")) == [{"sizes": 50}]


def test_a_job_that_waits_is_known_by_the_name_that_github_gave_the_last_ones(store: Store) -> None:
    def runs(tx: Tx) -> None:
        claims.reserve(tx, [a_claim(runner_name="r-1")])
        apply_job_news(tx, job_news(status="completed", name="Unit tests of the app", runner_name="r-1"), CONFIG)

    write(store, runs)
    tell(store, a_lease(bytes=6, runner="r-1"))
    known = learnt(store)
    assert known.of_name("acme/app", "linux", "Unit tests of the app") == kind(6)
    assert known.of_name("acme/app", "linux", "test (3.11)") == kind(6), "a leg of a matrix, by the workflow's key"
    assert known.of_name("acme/app", "linux", "something else").basis is Basis.POOL


def test_the_host_is_told_what_the_kind_of_a_job_writes_while_it_works(store: Store) -> None:
    def runs(tx: Tx) -> None:
        claims.reserve(tx, [a_claim(runner_name="r-1"), a_claim(id="clm_2", slot=1, runner_name="r-2", job_id=None)])
        apply_job_news(tx, job_news(status="in_progress", name="test", runner_name="r-1"), CONFIG)

    write(store, runs)
    tell(store, a_lease(bytes=6, runner="r-0"))
    tell(store, a_lease("l-2", "leased", runner="r-1"), a_lease("l-3", "leased", runner="r-2", job="lint"))
    words = read(store, lambda connection: words_for(connection, "host-a"))[1]
    assert {id: word.expected for id, word in words.items()} == {"l-2": 6}
    tell(store, a_lease("l-2", "draining", runner="r-1"))
    assert read(store, lambda connection: words_for(connection, "host-a"))[1]["l-2"].expected is None


@pytest.mark.parametrize(
    "changes",
    [
        {"job": None},
        {"job": ""},
        {"repository": None},
        {"slot": None},
        {"slot": 7},
        {"job": "x" * 121},
        {"repository": "y" * 121},
    ],
)
def test_what_has_no_kind_is_not_learnt(store: Store, changes: dict[str, Any]) -> None:
    tell(store, a_lease(bytes=5, **changes))
    assert how_many(store) == 0 and rows(store, select(growth)) == []


def test_the_widest_names_that_are_learnt_fit_every_index(store: Store) -> None:
    wide = "\N{OLD ITALIC LETTER A}" * 120
    tell(store, a_lease("\N{OLD ITALIC LETTER A}" * 200, job=wide, repository=wide, bytes=2**63 - 1))
    assert learnt(store, wide).of_key(wide, "linux", wide) == kind(2**63 - 1)


def test_old_sizes_go(store: Store, clock: Any) -> None:
    tell(store, a_lease(bytes=5))
    for table in ("growth_samples", "growth"):
        old = write(store, lambda tx, table=table: prune(tx, table, before=tx.now, after=None, window=9))
        assert old.removed == 0
    clock.advance(1)
    gone = [
        write(store, lambda tx, table=table: prune(tx, table, before=tx.now, after=None, window=9)).removed
        for table in ("growth_samples", "growth")
    ]
    assert gone == [1, 2] and how_many(store) == 0


def test_what_is_learnt_is_what_the_sizes_say(store: Store, clock: Any) -> None:
    """By chance, and worked out again from the sizes that are kept (R11)."""
    rng = Random(7)
    for number in range(120):
        clock.advance(1)
        leases = [
            a_lease(f"l-{number}-{n}", bytes=rng.randrange(10**6), job=rng.choice("xyz"), slot=rng.choice([0, 1]))
            for n in range(rng.randrange(1, 3))
        ]
        tell(store, *leases)
    kept = rows(store, select(growth_samples).order_by(growth_samples.c.at.desc(), growth_samples.c.lease))
    for row in rows(store, select(growth)):
        of_kind = [
            each["bytes"]
            for each in kept
            if each["pool"] == row["pool"]
            and (not row["job_key"] or (each["repository"], each["job_key"]) == (row["repository"], row["job_key"]))
        ]
        assert row["p95"] == p95(of_kind[: 200 if not row["job_key"] else 50]), row
    assert len(rows(store, select(growth))) == 8
