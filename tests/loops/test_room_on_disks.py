"""Three hosts, and room on one of them: jobs go there, the others wait with one stated reason (R51, P14)."""

from typing import Any

import pytest

from andon.model.disk import DiskReport
from andon.model.wire import LeaseReport, SlotReport, SlotState
from andon.rules.dispatch import Policy
from andon.rules.growth import UNHEARD_OF
from andon.store import claims, hosts, job_views, jobs
from andon.store.apply_news import apply_job_news
from andon.store.apply_sync import apply_report
from andon.store.dispatch import dispatch_once
from andon.store.transaction import Store, Tx
from tests.support.builders import a_config, a_pool, a_report, idle, job_news, slot_of
from tests.support.running import read, write

CONFIG = a_config()
POOLS = {"linux": a_pool()}
POLICY = Policy(pools=POOLS, max_slots={})
GIB = 2**30
HOSTS = ("host-a", "host-b", "host-c")


@pytest.fixture(autouse=True)
def three_hosts(store: Store) -> None:
    for name in HOSTS:
        write(store, lambda tx, name=name: hosts.enrol(tx, name, f"aht_{name}"))
        tell(store, name, 7 * GIB if name != "host-b" else 102 * GIB)


def tell(store: Store, name: str, free: int, **changes: Any) -> None:
    slots = changes.pop("slots", (idle(0), idle(1), idle(2)))
    disk = DiskReport(mount="/data", total=200 * GIB, free=free, floor=5 * GIB, slots=(0, 1, 2), **changes)

    def work(tx: Tx) -> None:
        known = hosts.get_host(tx.connection, name)
        assert known is not None
        apply_report(tx, known, a_report(slots, host=name, seq=known.seq + 1, disk=(disk,)), POOLS)

    write(store, work)


def wrote(store: Store, size: int, name: str = "host-b", **changes: Any) -> None:
    """A job of the kind "build" wrote so much; nothing of it is left."""
    given: dict[str, Any] = {"run_id": 1, "attempt": 1, "state": "dead", "slot": 0, "repository": "acme/app"}
    lease = LeaseReport(**{**given, "id": f"w-{size}", "job": "build", "bytes": size, **changes})

    def work(tx: Tx) -> None:
        known = hosts.get_host(tx.connection, name)
        assert known is not None
        for leases in ((lease,), ()):
            apply_report(tx, known, a_report(host=name, seq=known.seq + 1, leases=leases), POOLS)

    write(store, work)


def queue(store: Store, *numbers: int, name: str = "build") -> None:
    write(store, lambda tx: [apply_job_news(tx, job_news(n, name=name, run_id=n), CONFIG) for n in numbers])


def dispatch(store: Store, **changes: Any) -> list[tuple[int | None, str]]:
    done = write(store, lambda tx: dispatch_once(tx, POLICY, fleet="f", mode="act", **changes))
    return [(claim.job_id, claim.host) for claim in done.claimed]


def why(store: Store, number: int, now: Any) -> Any:
    def look(connection: Any) -> Any:
        job = jobs.get_job(connection, number)
        assert job is not None
        return job_views.explain_job(connection, job, job_views.surroundings(connection, CONFIG, now))

    return read(store, look)


def test_three_builds_of_47_gib_run_two_at_a_time_where_there_is_room(store: Store, clock: Any) -> None:
    wrote(store, 47 * GIB)
    queue(store, 1, 2, 3)
    assert dispatch(store) == [(1, "host-b"), (2, "host-b")]
    assert dispatch(store) == [], "the third waits"
    found = why(store, 3, clock.now())
    assert found.cause == "no_disk"
    assert found.facts["host"] == "host-b" and found.facts["hosts"] == 3
    assert (found.facts["free"], found.facts["reserved"]) == (102 * GIB, 94 * GIB)
    assert (found.facts["expected"], found.facts["lacking"]) == (47 * GIB, 44 * GIB)
    assert "47.0 GiB" in found.text and found.until
    ended = f"WHERE id = '{read(store, claims.live_claims)[0].id}'"
    write(store, lambda tx: tx.connection.exec_driver_sql(f"UPDATE claims SET state = 'settled' {ended}"))
    write(store, lambda tx: tx.connection.exec_driver_sql("UPDATE jobs SET status = 'completed' WHERE id = 1"))
    assert dispatch(store) == [(3, "host-b")], "as soon as one of them has ended"


def test_what_a_running_job_wrote_is_not_promised_twice(store: Store) -> None:
    wrote(store, 47 * GIB)
    queue(store, 1, 2)
    ((_, host),) = dispatch(store)[:1]
    first, second = read(store, claims.live_claims)
    assert {first.host, second.host} == {host}
    queue(store, 3)
    running = tuple(slot_of(each, SlotState.RUNNING) for each in (first, second))
    space: dict[str, Any] = {"id": "w-1", "run_id": 1, "attempt": 1, "state": "leased", "slot": first.slot}
    told = LeaseReport(**space, job="build", bytes=47 * GIB, repository="acme/app", runner=first.runner_name)

    def work(tx: Tx) -> None:
        known = hosts.get_host(tx.connection, "host-b")
        assert known is not None
        report = a_report((*running, idle(2)), host="host-b", seq=known.seq + 1, leases=(told,))
        apply_report(tx, known, report, POOLS)

    write(store, work)
    tell(store, "host-b", 100 * GIB, slots=(*running, idle(2)))
    # 100 are free and 47 promised to the second; the first has what it needs. 47 and the floor of 5 fit.
    assert dispatch(store) == [(3, "host-b")]


def test_a_job_without_room_anywhere_holds_up_none_of_the_jobs_behind_it(store: Store, clock: Any) -> None:
    """T17, T25: more of them than a round reads at first."""
    wrote(store, 500 * GIB)
    wrote(store, 1 * GIB, job="lint")
    queue(store, *range(1, 61))
    queue(store, 61, 62, name="lint")
    assert [job for job, _ in dispatch(store)] == [61, 62]
    assert why(store, 1, clock.now()).cause == "no_disk"


def test_a_host_that_tells_of_no_filesystem_admits_as_before(store: Store) -> None:
    write(store, lambda tx: hosts.enrol(tx, "host-d", "aht_d"))

    def work(tx: Tx) -> None:
        known = hosts.get_host(tx.connection, "host-d")
        assert known is not None
        apply_report(tx, known, a_report((idle(0),), host="host-d"), POOLS)

    write(store, work)
    wrote(store, 500 * GIB)
    queue(store, 1, 2)
    assert dispatch(store) == [(1, "host-d")]


def test_a_filesystem_that_takes_no_job_is_passed_by(store: Store, clock: Any) -> None:
    tell(store, "host-b", 100 * GIB, admits=False)
    for name in ("host-a", "host-c"):
        tell(store, name, 8 * GIB, admits=False)
    queue(store, 1)
    assert dispatch(store) == []
    assert why(store, 1, clock.now()).cause == "no_disk"
    assert dispatch(store, by_room=False) != [], "where the guard only observes, room holds nothing up"


def test_slots_that_their_agents_closed_for_want_of_room_are_no_disk_and_not_no_runner(
    store: Store, clock: Any
) -> None:
    closed = tuple(
        SlotReport(slot=n, pool="linux", state=SlotState.UNAVAILABLE, note="/data has 1 GiB left") for n in range(3)
    )
    for name in HOSTS:
        tell(store, name, GIB, admits=False, slots=closed)
    queue(store, 1)
    found = why(store, 1, clock.now())
    assert found.cause == "no_disk" and found.facts["admits"] is False and found.facts["hosts"] == 3
    tell(store, "host-a", 100 * GIB, slots=closed)
    for name in ("host-b", "host-c"):
        tell(store, name, 100 * GIB, slots=closed)
    assert why(store, 1, clock.now()).cause == "no_runner", "they are closed for something else"


def test_the_first_job_of_a_kind_begins_on_a_disk_that_is_smaller_than_the_guess(store: Store) -> None:
    assert 7 * GIB < UNHEARD_OF
    tell(store, "host-b", 7 * GIB)
    queue(store, 1, 2, 3, 4)
    assert sorted(host for _, host in dispatch(store)) == sorted(HOSTS), "one on each, and no second"
