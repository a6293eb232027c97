"""Persistent runners are capacity: the oldest jobs are left to idle ones, and not for long (interfaces.md 3)."""

from typing import Any

import pytest

from andon.model.host_states import HostObserved, Intent
from andon.model.nouns import Host, Slot
from andon.rules.adopted_slots import (
    RESTS,
    AdoptedFact,
    Taker,
    WorkToLeave,
    adopted_note,
    adopted_state,
    left_to,
    pool_of_runner,
    rest_of,
)
from andon.rules.dispatch import FreeSlot, Leave, LetLie, Place, Policy, Snapshot, WaitingJob, Withhold, decide
from andon.rules.liveness import Follows, GitHubView, Heartbeat, ProcessView, judge, judge_adopted
from andon.rules.slot_views import closed_by, slot_state
from tests.support.builders import START, a_pool, at

POLICY = Policy(pools={"linux": a_pool()}, max_slots={})


def a_job(id: int, seconds: float = 0, **changes: Any) -> WaitingJob:
    given: dict[str, Any] = {
        "id": id,
        "repository": "acme/app",
        "owner": "acme",
        "pool": "linux",
        "run_id": id,
        "attempt": 1,
        "queued_at": at(seconds),
        "fork": False,
        **changes,
    }
    return WaitingJob(**given)


def a_taker(slot: int = 0, **changes: Any) -> Taker:
    given: dict[str, Any] = {
        "host": "host-a",
        "slot": slot,
        "pool": "linux",
        "runner": f"r-{slot}",
        "owner": "acme",
        "repository": "",
        "idle_since": START,
        **changes,
    }
    return Taker(**given)


def decided(*jobs: WaitingJob, takers: list[Taker], free: int = 0, now: float = 1, **policy: Any) -> list[str]:
    slots = tuple(FreeSlot(host="host-b", slot=number, pool="linux") for number in range(free))
    seen = Snapshot(waiting=jobs, free=slots, live_claims={}, host_load={}, takers=tuple(takers), now=at(now))
    words = {Leave: "left", LetLie: "let lie", Place: "placed", Withhold: "withheld"}
    rules = Policy(pools=POLICY.pools, max_slots=policy)
    return [f"{each.job.id} {words[type(each)]}" for each in decide(seen, rules)]


def test_the_oldest_jobs_are_left_and_the_others_are_placed() -> None:
    jobs = (a_job(1, 0), a_job(2, 1), a_job(3, 2))
    assert decided(*jobs, takers=[a_taker()], free=9, now=3) == ["1 left", "2 placed", "3 placed"]
    assert decided(*jobs, takers=[a_taker(0), a_taker(1)], free=9, now=3) == ["1 left", "2 left", "3 placed"]
    assert decided(*jobs, takers=[], free=2, now=3) == ["1 placed", "2 placed"]


def test_a_job_that_is_not_taken_is_placed_and_its_taker_has_let_it_lie() -> None:
    jobs = (a_job(1, 0), a_job(2, 1))
    assert decided(*jobs, takers=[a_taker()], free=9, now=29.9) == ["1 left", "2 placed"]
    assert decided(*jobs, takers=[a_taker()], free=9, now=30) == ["1 let lie", "1 placed", "2 placed"]


def test_a_runner_that_has_just_come_to_stand_idle_has_its_time() -> None:
    idle = a_taker(idle_since=at(100))
    assert decided(a_job(1, 0), takers=[idle], free=1, now=129) == ["1 left"]
    assert decided(a_job(1, 0), takers=[idle], free=1, now=130) == ["1 let lie", "1 placed"]


@pytest.mark.parametrize(
    "changes",
    [{"pool": "gpu"}, {"owner": "beta"}, {"repository": "acme/other"}],
)
def test_a_runner_that_cannot_take_it_is_not_waited_for(changes: dict[str, Any]) -> None:
    assert decided(a_job(1), takers=[a_taker(**changes)], free=1) == ["1 placed"]


def test_a_runner_of_the_repository_takes_it_whatever_the_case_of_its_name() -> None:
    assert decided(a_job(1), takers=[a_taker(owner="Acme", repository="Acme/App")], free=1) == ["1 left"]


def test_a_capped_owners_job_is_left_and_then_withheld() -> None:
    assert decided(a_job(1), takers=[a_taker()], free=1, acme=0) == ["1 left"]
    assert decided(a_job(1), takers=[a_taker()], free=1, now=31, acme=0) == ["1 let lie", "1 withheld"]


def test_the_reason_for_waiting_agrees_with_the_decision() -> None:
    takers = [a_taker(0, idle_since=at(5)), a_taker(1)]
    work = WorkToLeave(pool="linux", owner="acme", repository="acme/app", queued_at=at(2))
    first, second, third = (left_to(takers, work, position) for position in (1, 2, 3))
    assert first is not None and (first.taker.slot, first.until) == (1, at(32))
    assert second is not None and (second.taker.slot, second.until) == (0, at(35))
    assert third is None
    assert first.left(at(31)) and not first.left(at(32))


def test_what_is_not_counted_on_rests_longer_each_time() -> None:
    assert [rest_of(times) for times in (1, 2, 3, 4)] == [*RESTS, RESTS[-1]]


def test_a_runner_serves_the_first_pool_whose_labels_it_all_carries() -> None:
    pools = [a_pool(name="gpu", labels=("self-hosted", "GPU")), a_pool(), a_pool(name="wide", labels=("self-hosted",))]
    assert pool_of_runner(["self-hosted", "Linux", "X64"], pools) == "linux"
    assert pool_of_runner(["Self-Hosted", "gpu", "linux"], pools) == "gpu"
    assert pool_of_runner(["self-hosted"], pools) == "wide"
    assert pool_of_runner(["linux"], pools) is None


def a_slot(state: str = "idle", **changes: Any) -> Slot:
    given: dict[str, Any] = {
        "host": "host-a",
        "slot": 7,
        "kind": "adopted",
        "pool": "linux",
        "intent": Intent.OPEN,
        "state": state,
        "claim": None,
        "generation": None,
        "runner": "r-7",
        "note": None,
        "since": START,
        **changes,
    }
    return Slot(**given)


def a_host(**changes: Any) -> Host:
    given: dict[str, Any] = {
        "name": "host-a",
        "intent": Intent.OPEN,
        "observed": HostObserved.REPORTING,
        "reason": None,
        "last_seen": START,
        "version": "1",
        "boot_id": "b",
        "seq": 1,
        "enrolled_at": START,
        **changes,
    }
    return Host(**given)


@pytest.mark.parametrize(
    ("state", "github", "word"),
    [
        ("idle", "online", "idle"),
        ("listening", "online", "idle"),
        ("idle", "offline", "unavailable"),
        ("idle", "absent", "unavailable"),
        ("idle", "unknown", "unknown"),
        ("idle", "busy", "running"),
        ("running", "offline", "running"),
        ("running", "unknown", "running"),
        ("starting", "offline", "starting"),
        ("stopping", "online", "draining"),
        ("unavailable", "online", "unavailable"),
        ("unknown", "online", "unknown"),
        ("a_newer_word", "online", "unknown"),
    ],
)
def test_idle_is_only_what_has_proven_that_it_can_take_a_job(state: str, github: str, word: str) -> None:
    fact = AdoptedFact(github=GitHubView(github))
    assert slot_state(a_slot(state), a_host(), None, START, fact) == word
    assert slot_state(a_slot(state), a_host(observed=HostObserved.SILENT), None, START, fact) == "unknown"


@pytest.mark.parametrize("intent", [Intent.CORDONED, Intent.DRAINING, Intent.QUARANTINED])
def test_what_is_put_aside_is_no_capacity(intent: Intent) -> None:
    fact = AdoptedFact(github=GitHubView.ONLINE)
    for slot, host in ((a_slot(intent=intent), a_host()), (a_slot(), a_host(intent=intent))):
        assert adopted_state(slot, host, fact, START) != "idle"
        assert closed_by(slot, host, START, fact) == intent.value


def test_github_s_word_that_a_job_runs_there_stands() -> None:
    assert adopted_state(a_slot(), a_host(), AdoptedFact(job=5), START) == "running"
    assert closed_by(a_slot(), a_host(), START, AdoptedFact(job=5)) is None


def test_why_an_idle_looking_slot_is_no_capacity_is_said() -> None:
    online = AdoptedFact(github=GitHubView.ONLINE)
    assert adopted_note(a_slot(), online, START) is None
    assert "offline" in (adopted_note(a_slot(), AdoptedFact(github=GitHubView.OFFLINE), START) or "")
    assert "not shown it lately" in (adopted_note(a_slot(), AdoptedFact(), START) or "")
    assert adopted_note(a_slot("running"), AdoptedFact(), START) is None
    lazy = a_slot(failed_starts=2, rests_until=at(60))
    assert (
        adopted_note(lazy, online, START)
        == "not counted on until 00:01:00 UTC: it stood idle and let 2 jobs in a row lie"
    )
    assert adopted_state(lazy, a_host(), online, START) == "unavailable"
    assert closed_by(lazy, a_host(), START, online) == "resting"
    assert closed_by(a_slot(), a_host(), START, AdoptedFact()) == "not seen at GitHub yet"
    assert closed_by(a_slot(), a_host(), START, AdoptedFact(github=GitHubView.ABSENT)) == "offline at GitHub"


def test_nothing_of_an_adopted_runner_is_removed_or_given_up_whatever_the_views_say() -> None:
    for github in GitHubView:
        for process in ProcessView:
            for heartbeat in Heartbeat:
                found = judge_adopted(github, process, heartbeat)
                assert found.follows not in (Follows.REMOVE, Follows.ASK)
                if github is GitHubView.BUSY:
                    assert found == judge(github, process, heartbeat)
    assert judge_adopted(GitHubView.OFFLINE, ProcessView.GONE, Heartbeat.FRESH).follows is Follows.RESTART
    assert judge_adopted(GitHubView.OFFLINE, ProcessView.LISTENING, Heartbeat.FRESH).name == "cut_off"
    assert judge_adopted(GitHubView.ONLINE, ProcessView.LISTENING, Heartbeat.FRESH).name == "idle"
