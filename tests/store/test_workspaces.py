"""What hosts tell of their workspaces is kept as told, and answered with how runs and jobs stand (interfaces.md 5)."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from andon.model.nouns import Host, Workspace
from andon.model.wire import JobWord, LeaseReport, SyncAnswer
from andon.store import claims, enrolments, hosts, jobs, workspaces
from andon.store.apply_news import apply_job_news, apply_run_news
from andon.store.apply_sync import apply_report, wishes
from andon.store.gone_hosts import forget_gone_hosts
from andon.store.schema import workspaces as table
from andon.store.transaction import Store, Tx
from andon.store.workspace_views import Filter, list_workspaces, workspace, workspaces_of_job
from tests.support.builders import START, a_claim, a_config, a_report, at, job_news, run_news
from tests.support.running import read, rows, write

CONFIG = a_config()


@pytest.fixture(autouse=True)
def host(store: Store) -> None:
    write(store, lambda tx: hosts.enrol(tx, "host-a", "aht_x"))


def a_lease(id: str = "10-1-test-aaaaaaaaaa", **changes: Any) -> LeaseReport:
    given: dict[str, Any] = {
        "id": id,
        "run_id": 10,
        "attempt": 1,
        "state": "leased",
        "slot": 0,
        "job": "test",
        "runner": "r-0",
        "repository": "acme/app",
        "path": f"/a/runs/0/{id}",
        **changes,
    }
    return LeaseReport(**given)


def tell(store: Store, *leases: LeaseReport, host: str = "host-a", **changes: Any) -> None:
    given: dict[str, Any] = {"leases": leases, "host": host, **changes}
    write(store, lambda tx: apply_report(tx, the_host(tx.connection, host), a_report(**given), {}))


def the_host(connection: Connection, name: str = "host-a") -> Host:
    found = hosts.get_host(connection, name)
    assert found is not None
    return found


def kept(store: Store) -> dict[str, Workspace]:
    found = [{str(name): value for name, value in row.items()} for row in rows(store, table.select())]
    return {row["id"]: msgspec.convert(row, Workspace) for row in found}


def wish(store: Store) -> SyncAnswer:
    return read(store, lambda c: wishes(c, "host-a", now=START, ack=1, resync=False, policy={}))


def news(store: Store, *told: Any) -> set[str]:
    """Gives what was woken."""

    def work(tx: Tx) -> set[str]:
        for each in told:
            if hasattr(each, "labels"):
                apply_job_news(tx, each, CONFIG)
            else:
                apply_run_news(tx, each, CONFIG)
        return set(tx.nudges)

    return write(store, work)


def traced(connection: Connection, work: Callable[[], object]) -> list[str]:
    """The statements of `work`, on SQLite; those of the other database are the same ones."""
    asked: list[str] = []
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.set_trace_callback(asked.append)
    work()
    if connection.dialect.name == "sqlite":
        driver.set_trace_callback(None)
    return asked


def test_a_list_replaces_what_was_known_and_no_list_changes_nothing(store: Store) -> None:
    tell(store, a_lease(), a_lease("11-1-test-bbbbbbbbbb", run_id=11))
    tell(store, leases=None, seq=2)
    assert sorted(kept(store)) == ["10-1-test-aaaaaaaaaa", "11-1-test-bbbbbbbbbb"]
    tell(store, a_lease("11-1-test-bbbbbbbbbb", run_id=11, state="draining", held_by=("a mount is left",)), seq=3)
    (left,) = kept(store).values()
    assert (left.id, left.state, left.held_by) == ("11-1-test-bbbbbbbbbb", "draining", ("a mount is left",))
    tell(store, seq=4)
    assert kept(store) == {}
    assert read(store, the_host).workspaces == 0


def test_another_hosts_list_leaves_ours_alone(store: Store) -> None:
    write(store, lambda tx: hosts.enrol(tx, "host-b", "aht_y"))
    tell(store, a_lease())
    tell(store, a_lease("12-1-test-cccccccccc", run_id=12), host="host-b")
    tell(store, host="host-b", seq=2)
    assert sorted(kept(store)) == ["10-1-test-aaaaaaaaaa"]


def test_only_rows_that_changed_are_written(store: Store, clock: Any) -> None:
    tell(store, a_lease(), a_lease("11-1-test-bbbbbbbbbb", run_id=11))
    clock.advance(5)
    tell(store, a_lease(), a_lease("11-1-test-bbbbbbbbbb", run_id=11, bytes=7), seq=2)
    told = {id: (row.made_at, row.seen_at) for id, row in kept(store).items()}
    assert told == {"10-1-test-aaaaaaaaaa": (at(0), at(0)), "11-1-test-bbbbbbbbbb": (at(0), at(5))}

    def again(tx: Tx) -> list[str]:
        here = the_host(tx.connection)
        same = (a_lease(), a_lease("11-1-test-bbbbbbbbbb", run_id=11, bytes=7))
        return traced(tx.connection, lambda: workspaces.save(tx, here, same))

    assert len(write(store, again)) <= 1, "the rows are read, and none is written"


@pytest.mark.parametrize("leases", [None, ()])
def test_an_agent_without_workspaces_costs_no_statement(store: Store, leases: Any) -> None:
    """Older agents send an empty list with every whole report (R39)."""
    asked: list[str] = []

    def apply(tx: Tx) -> None:
        found = the_host(tx.connection)
        asked.extend(traced(tx.connection, lambda: apply_report(tx, found, a_report(leases=leases), {})))

    def look(connection: Connection) -> None:
        asked.extend(
            traced(connection, lambda: wishes(connection, "host-a", now=START, ack=1, resync=False, policy={}))
        )

    write(store, apply)
    read(store, look)
    assert not [each for each in asked if re.search(r"(FROM|INTO|UPDATE) workspaces|SET workspaces", each)]
    assert wish(store).runs == {} and wish(store).jobs == {}


def test_what_does_not_fit_is_left_out_and_what_is_long_is_cut(store: Store) -> None:
    tell(
        store,
        a_lease("a", run_id=2**63),
        a_lease("b", run_id=-1),
        a_lease("", run_id=1),
        a_lease("c" * 300),
        a_lease("d", state="s" * 99, path="/" * 9999, bytes=2**70, held_by=("x" * 9999,) * 99, slot=-3),
        a_lease("e"),
        a_lease("e", state="dead"),
    )
    known = kept(store)
    assert sorted(known) == ["d", "e"] and known["e"].state == "dead"
    d = known["d"]
    assert (len(d.state), len(d.path or ""), d.bytes, d.slot) == (40, 4096, None, None)
    assert (len(d.held_by), len(d.held_by[0])) == (20, 500)


def test_a_removed_host_and_a_forgotten_one_take_their_workspaces_along(store: Store) -> None:
    write(store, lambda tx: hosts.enrol(tx, "host-b", "aht_y"))
    tell(store, a_lease())
    tell(store, a_lease("b"), host="host-b")
    write(store, lambda tx: enrolments.remove(tx, "host-b", reason="sold"))
    assert sorted(kept(store)) == ["10-1-test-aaaaaaaaaa"]
    assert write(store, lambda tx: forget_gone_hosts(tx, before=at(99), most=9)) == ("host-a",)
    assert kept(store) == {}


def test_a_run_stands_as_githubs_word_says(store: Store) -> None:
    tell(store, a_lease())
    assert wish(store).runs == {"10": "unknown"}
    news(store, job_news(1))
    assert wish(store).runs == {"10": "queued"}
    news(store, job_news(1, "in_progress", runner_name="r-0"), run_news(status="in_progress"))
    assert wish(store).runs == {"10": "in_progress"}
    news(store, job_news(1, "completed", runner_name="r-0"))
    # Another job may be waiting for this one; GitHub has not said that the run is over.
    assert wish(store).runs == {"10": "in_progress"}
    news(store, run_news(status="completed", conclusion="success"))
    assert wish(store).runs == {"10": "completed"}
    # A new attempt of the same run: it is not over any more.
    news(store, job_news(2, attempt=2))
    assert wish(store).runs == {"10": "queued"}


def test_a_run_is_not_over_while_one_of_its_jobs_is_not(store: Store) -> None:
    tell(store, a_lease())
    news(store, job_news(1, "completed"), job_news(2, "waiting"), run_news(status="completed", conclusion="failure"))
    assert wish(store).runs == {"10": "waiting"}


def test_a_workspace_is_told_its_job_by_runner_run_and_attempt(store: Store) -> None:
    tell(store, a_lease(), a_lease("10-2-test-bbbbbbbbbb", attempt=2), a_lease("x", runner="r-1"))
    news(store, job_news(1, "in_progress", runner_name="r-0"), job_news(2, "completed", runner_name="r-2"))
    assert wish(store).jobs == {"10-1-test-aaaaaaaaaa": JobWord(id=1)}
    news(store, job_news(3, "in_progress", runner_name="r-0", attempt=2))
    assert wish(store).jobs["10-2-test-bbbbbbbbbb"] == JobWord(id=3)


def test_a_job_that_is_over_is_told_with_its_conclusion(store: Store) -> None:
    claim = a_claim(runner_name="r-0", job_id=1)

    def claimed(tx: Tx) -> None:
        apply_job_news(tx, job_news(1), CONFIG)
        claims.reserve(tx, [claim])

    write(store, claimed)
    tell(store, a_lease())
    news(store, job_news(1, "completed", conclusion="failure", runner_name="r-0"))
    # GitHub's word came before the host saw the process end: a runner of ours serves one job only.
    assert wish(store).jobs == {"10-1-test-aaaaaaaaaa": JobWord(id=1, conclusion="failure")}


def test_the_end_of_a_run_wakes_the_hosts_that_have_workspaces_of_it(store: Store) -> None:
    write(store, lambda tx: hosts.enrol(tx, "host-b", "aht_y"))
    tell(store, a_lease())
    tell(store, a_lease("b", run_id=11), host="host-b")
    assert "host:host-a" not in news(store, run_news(status="in_progress"))
    woken = news(store, run_news(status="completed", conclusion="success"))
    assert {each for each in woken if each.startswith("host:")} == {"host:host-a"}


def test_people_see_which_run_holds_what_and_why(store: Store) -> None:
    write(store, lambda tx: hosts.enrol(tx, "host-b", "aht_y"))
    held = ("process 12 (make) works in it",)
    tell(store, a_lease(state="draining", since=at(-700), held_by=held, bytes=5))
    tell(store, a_lease("b", run_id=11, repository="acme/other", state="dead"), host="host-b")
    news(store, job_news(1, "in_progress", runner_name="r-0", started_at=at(-700)))
    now = START
    both = read(store, lambda c: list_workspaces(c, Filter(), now, 9))
    assert [(each.host, each.run, each.job, each.overdue) for each in both] == [
        ("host-a", "in_progress", 1, True),
        ("host-b", "unknown", None, False),
    ]
    assert both[0].why == "process 12 (make) works in it."
    assert both[1].why == "Nothing uses it any more. It goes by itself, that of a failed job after a day."
    for wanted in (Filter(host="host-b"), Filter(repository="acme/other"), Filter(state="dead")):
        found = read(store, lambda c, wanted=wanted: list_workspaces(c, wanted, now, 9))
        assert [each.id for each in found] == ["b"]
    first = read(store, lambda c: list_workspaces(c, Filter(), now, 1))
    after = (first[0].host, first[0].id)
    assert [each.id for each in read(store, lambda c: list_workspaces(c, Filter(), now, 9, after))] == ["b"]
    assert read(store, lambda c: workspace(c, "b", now)) == both[1]
    assert read(store, lambda c: workspace(c, "c", now)) is None


def test_a_jobs_workspace_is_found_from_the_job(store: Store) -> None:
    tell(store, a_lease(), a_lease("x", runner="r-1"))
    news(store, job_news(1, "in_progress", runner_name="r-0"), job_news(2))

    def found(job_id: int) -> list[str]:
        job = read(store, lambda c: jobs.get_job(c, job_id))
        assert job is not None
        return [each.id for each in read(store, lambda c: workspaces_of_job(c, job, START))]

    assert found(1) == ["10-1-test-aaaaaaaaaa"]
    assert found(2) == []


def test_a_silent_hosts_workspaces_are_as_told_last(store: Store) -> None:
    tell(store, a_lease())
    write(store, lambda tx: hosts.fall_silent(tx, at(60)))
    (seen,) = read(store, lambda c: list_workspaces(c, Filter(), START, 9))
    assert seen.why == "Its job runs. Its host is silent: so it was told last."
