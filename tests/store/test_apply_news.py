"""What GitHub says moves jobs, and claims follow: bound, shuffled, freed (R3, R16, R21, R28)."""

import pytest
from sqlalchemy import select

from andon.model.claim_states import ClaimEvent, ClaimState
from andon.model.machine import Rejected
from andon.model.news import Ignored
from andon.store import claims, fleet_views, hosts, jobs, journal
from andon.store.apply_news import Applied, apply_job_news, apply_run_news
from andon.store.apply_sync import apply_report
from andon.store.claims import Change
from andon.store.schema import claims as claims_table
from andon.store.schema import outbox
from andon.store.transaction import Store
from tests.support.builders import START, a_claim, a_config, a_report, at, idle, job_news, run_news
from tests.support.running import read, rows, write

CONFIG = a_config()


def hear(store: Store, **changes: object) -> Applied | Ignored:
    return write(store, lambda tx: apply_job_news(tx, job_news(**changes), CONFIG))  # type: ignore[arg-type]


def claim(store: Store, claim_id: str):
    found = read(store, lambda connection: claims.get_claim(connection, claim_id))
    assert found is not None
    return found


def two_claimed_jobs(store: Store, state: ClaimState = ClaimState.REGISTERED) -> None:
    """Jobs 1 and 2, each with a runner of its own that listens."""
    hear(store, job_id=1)
    hear(store, job_id=2)
    one = a_claim("clm_1", job_id=1, slot=0, state=state, runner_name="r1")
    two = a_claim("clm_2", job_id=2, slot=1, state=state, runner_name="r2")
    write(store, lambda tx: claims.reserve(tx, [one, two]))


def test_a_job_that_is_not_ours_is_ignored_with_a_reason(store: Store) -> None:
    outcome = hear(store, labels=("ubuntu-latest",))
    assert isinstance(outcome, Ignored) and outcome.reason == "not_our_label"
    assert read(store, lambda connection: jobs.get_job(connection, 1)) is None


def test_every_change_of_a_job_is_a_journal_line(store: Store) -> None:
    hear(store)
    hear(store)
    hear(store, status="in_progress", runner_name="x", runner_id=1)
    hear(store, status="completed", runner_name="x", runner_id=1)
    story = read(store, lambda connection: journal.story_of_job(connection, 1))
    assert [line.entry.kind for line in story] == ["job.queued", "job.in_progress", "job.completed"]
    assert [line.entry.from_state for line in story] == [None, "queued", "in_progress"]


def test_the_named_runner_binds_its_claim(store: Store) -> None:
    two_claimed_jobs(store)
    hear(store, job_id=1, status="in_progress", runner_name="r1", runner_id=11)
    bound = claim(store, "clm_1")
    assert (bound.state, bound.runner_id, bound.generation) == (ClaimState.BUSY, 11, 1)
    assert bound.deadline is not None and bound.deadline > at(3600)


@pytest.mark.parametrize("status", ["in_progress", "completed"])
def test_a_shuffle_swaps_the_demand_of_the_two_claims_within_one_event(store: Store, status: str) -> None:
    two_claimed_jobs(store)
    hear(store, job_id=2, status=status, runner_name="r1", runner_id=11)
    one, two = claim(store, "clm_1"), claim(store, "clm_2")
    assert (one.job_id, one.state, one.generation) == (2, ClaimState.BUSY, 2)
    assert (two.job_id, two.state, two.generation) == (1, ClaimState.REGISTERED, 2)
    for job_id in (1, 2):
        story = read(store, lambda connection, job_id=job_id: journal.story_of_job(connection, job_id))
        assert "claim.shuffled" in [line.entry.kind for line in story]


def test_a_runner_that_takes_an_unclaimed_job_leaves_its_own_job_to_be_claimed_again(store: Store) -> None:
    hear(store, job_id=1)
    hear(store, job_id=2)
    write(store, lambda tx: claims.reserve(tx, [a_claim(job_id=1, state=ClaimState.LAUNCHED, runner_name="r1")]))
    hear(store, job_id=2, status="in_progress", runner_name="r1")
    assert claim(store, "clm_1").job_id == 2
    assert read(store, lambda connection: claims.live_claim_of_job(connection, 1)) is None


@pytest.mark.parametrize("status", ["in_progress", "completed"])
def test_a_shuffle_that_leaves_a_claim_with_a_job_that_is_over_puts_it_in_doubt_at_once(
    store: Store, status: str
) -> None:
    """Else its idle runner would hold its slot until a deadline minutes away."""
    two_claimed_jobs(store)
    hear(store, job_id=1, status="completed", conclusion="cancelled")
    assert claim(store, "clm_1").state is ClaimState.ORPHANED
    hear(store, job_id=2, status=status, runner_name="r1", runner_id=11)
    one, two = claim(store, "clm_1"), claim(store, "clm_2")
    assert (one.job_id, one.state) == (2, ClaimState.BUSY)
    assert (two.job_id, two.state) == (1, ClaimState.ORPHANED)
    assert "clm_2" in {row["subject"] for row in rows(store, select(outbox))}


def test_a_job_taken_by_a_foreign_runner_puts_our_claim_in_doubt_and_asks(store: Store) -> None:
    two_claimed_jobs(store)
    hear(store, job_id=1, status="in_progress", runner_name="somebody-else")
    assert claim(store, "clm_1").state is ClaimState.ORPHANED
    assert [row["subject"] for row in rows(store, select(outbox))] == ["clm_1"]


def test_a_job_cancelled_while_queued_gives_a_reserved_slot_back_at_once(store: Store) -> None:
    hear(store, job_id=1)
    write(store, lambda tx: claims.reserve(tx, [a_claim(state=ClaimState.RESERVED)]))
    hear(store, job_id=1, status="completed", conclusion="cancelled")
    assert claim(store, "clm_1").state is ClaimState.RELEASED
    assert rows(store, select(outbox)) == []


def test_a_job_that_went_behind_a_gate_puts_its_runner_in_doubt(store: Store) -> None:
    two_claimed_jobs(store)
    hear(store, job_id=1, status="waiting", order_at=at(50))
    assert claim(store, "clm_1").state is ClaimState.ORPHANED


def test_late_news_never_moves_an_ended_claim(store: Store) -> None:
    two_claimed_jobs(store)
    write(store, lambda tx: tx.connection.execute(claims_table.update().values(state="released")))
    hear(store, job_id=1, status="in_progress", runner_name="r1")
    assert claim(store, "clm_1").state is ClaimState.RELEASED


def test_the_story_of_a_job_names_the_claim_that_served_it_though_it_was_given_back(store: Store) -> None:
    """The news of a shuffle comes when the runner is gone and its claim released: said once, and nothing moves."""
    two_claimed_jobs(store)
    write(store, lambda tx: tx.connection.execute(claims_table.update().values(state="released")))
    for status in ("in_progress", "in_progress", "completed"):
        hear(store, job_id=2, status=status, runner_name="r1", runner_id=11)
    told = [
        line.entry
        for line in read(store, lambda connection: journal.story_of_job(connection, 2))
        if line.entry.subject_kind == "claim"
    ]
    assert [(line.kind, line.subject_id, line.to_state) for line in told] == [("claim.late_word", "clm_1", "released")]


def test_an_old_generation_changes_zero_rows(store: Store) -> None:
    two_claimed_jobs(store)
    stale = claim(store, "clm_1")
    write(store, lambda tx: tx.connection.execute(claims_table.update().values(generation=5)))
    change = Change(event=ClaimEvent.BOUND, actor="test", reason="late order")
    outcome = write(store, lambda tx: claims.advance(tx, stale, change))
    assert isinstance(outcome, Rejected)
    assert claim(store, "clm_1").state is ClaimState.REGISTERED


def test_a_rerun_is_an_attempt_of_its_own(store: Store) -> None:
    write(store, lambda tx: apply_run_news(tx, run_news(status="completed", conclusion="failure"), CONFIG))
    write(store, lambda tx: apply_run_news(tx, run_news(attempt=2, status="queued"), CONFIG))
    first = read(store, lambda connection: jobs.get_run(connection, 10, 1))
    second = read(store, lambda connection: jobs.get_run(connection, 10, 2))
    assert first is not None and (first.status, first.conclusion) == ("completed", "failure")
    assert second is not None and second.status == "queued"


def test_late_news_of_a_run_never_reopens_it(store: Store) -> None:
    write(store, lambda tx: apply_run_news(tx, run_news(status="completed", conclusion="success"), CONFIG))
    write(store, lambda tx: apply_run_news(tx, run_news(status="in_progress"), CONFIG))
    run = read(store, lambda connection: jobs.get_run(connection, 10, 1))
    assert run is not None and (run.status, run.conclusion) == ("completed", "success")


def test_unclear_order_is_asked_at_the_api(store: Store) -> None:
    hear(store, order_at=None)
    hear(store, status="waiting", order_at=None)
    assert [row["kind"] for row in rows(store, select(outbox))] == ["learn_job"]


def test_late_news_of_a_run_tells_the_journal_nothing(store: Store) -> None:
    write(store, lambda tx: apply_run_news(tx, run_news(status="completed", conclusion="success"), CONFIG))
    write(store, lambda tx: apply_run_news(tx, run_news(status="in_progress"), CONFIG))
    lines = read(store, lambda connection: journal.newest(connection, 10))
    assert [line.entry.kind for line in lines] == ["run.completed"]


def test_a_shuffle_between_repositories_moves_the_claims_repository_too(store: Store) -> None:
    """Runners of an organisation take jobs of any repository of it."""
    two_claimed_jobs(store)
    hear(store, job_id=3, repository="acme/other")
    hear(store, job_id=3, repository="acme/other", status="in_progress", runner_name="r1")
    assert (claim(store, "clm_1").job_id, claim(store, "clm_1").repository) == (3, "acme/other")


def test_wanted_slots_count_work_whose_runner_is_still_starting(store: Store) -> None:
    write(store, lambda tx: hosts.enrol(tx, "host-a", "aht_x"))
    known = read(store, lambda connection: hosts.get_host(connection, "host-a"))
    assert known is not None
    write(store, lambda tx: apply_report(tx, known, a_report((idle(0), idle(1))), {}))
    hear(store, job_id=1)
    hear(store, job_id=2)
    write(store, lambda tx: claims.reserve(tx, [a_claim(job_id=1, state=ClaimState.MINTED)]))
    (pool,) = read(store, lambda connection: fleet_views.pool_views(connection, CONFIG, START))
    assert (pool.waiting, pool.starting, pool.running) == (1, 1, 0)
