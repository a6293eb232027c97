"""Agents' reports move claims, and the answer is the whole wish for the host (interfaces.md 5)."""

from typing import Any

import pytest

from andon.model.claim_states import ClaimState
from andon.model.nouns import Claim
from andon.model.wire import SlotReport, SlotState, SyncAnswer
from andon.store import claims, hosts
from andon.store.apply_news import apply_job_news
from andon.store.apply_sync import apply_report, wishes
from andon.store.outbox import is_pending
from andon.store.transaction import Store
from tests.support.builders import START, a_claim, a_config, a_report, idle, job_news, slot_of, the_end
from tests.support.running import read, write

CONFIG = a_config()
POOLS = {pool.name: pool for pool in CONFIG.pool}


@pytest.fixture(autouse=True)
def host(store: Store) -> None:
    write(store, lambda tx: hosts.enrol(tx, "host-a", "aht_x"))


def report(store: Store, *slots: SlotReport, **changes: Any) -> None:
    def work(tx: Any) -> None:
        known = hosts.get_host(tx.connection, "host-a")
        assert known is not None
        apply_report(tx, known, a_report(slots or None, **changes), POOLS)

    write(store, work)


def wish(store: Store) -> SyncAnswer:
    return read(store, lambda connection: wishes(connection, "host-a", now=START, ack=1, resync=False, policy={}))


def a_minted_claim(store: Store, **changes: Any) -> Claim:
    made = a_claim(state=ClaimState.MINTED, **changes)

    def work(tx: Any) -> None:
        apply_job_news(tx, job_news(), CONFIG)
        claims.reserve(tx, [made])
        claims.keep_jit_config(tx, made.id, "SECRET")

    write(store, work)
    return made


def state(store: Store) -> ClaimState:
    found = read(store, lambda connection: claims.get_claim(connection, "clm_1"))
    assert found is not None
    return found.state


def test_a_minted_claim_is_ordered_until_its_process_is_reported(store: Store) -> None:
    claim = a_minted_claim(store)
    report(store, idle(0))
    for _ in range(2):
        assert [(order.id, order.jit) for order in wish(store).claims] == [("clm_1", "SECRET")]
    report(store, slot_of(claim, SlotState.STARTING), seq=2)
    assert state(store) is ClaimState.LAUNCHED
    assert wish(store).claims == ()


def test_the_jit_config_is_gone_once_the_runner_listens(store: Store) -> None:
    claim = a_minted_claim(store)
    report(store, slot_of(claim, SlotState.LISTENING))
    assert state(store) is ClaimState.REGISTERED
    with store.database._engine.connect() as connection:  # type: ignore[attr-defined]
        assert connection.exec_driver_sql("SELECT count(*) FROM jit_configs").scalar() == 0


def test_an_end_before_github_named_the_job_is_a_doubt_and_asks(store: Store) -> None:
    claim = a_minted_claim(store)
    report(store, slot_of(claim, SlotState.STARTING), ended=(the_end(claim, exit=7, tail="boom"),))
    assert state(store) is ClaimState.ORPHANED
    assert read(store, lambda connection: is_pending(connection, "resolve_claim", "clm_1"))
    kept = read(store, lambda connection: claims.get_claim(connection, "clm_1"))
    assert kept is not None and (kept.exit, kept.tail) == (7, "boom")


def test_the_end_of_a_busy_runner_settles_its_claim(store: Store) -> None:
    claim = a_minted_claim(store)
    report(store, slot_of(claim, SlotState.RUNNING))
    write(store, lambda tx: apply_job_news(tx, job_news(status="in_progress", runner_name=claim.runner_name), CONFIG))
    report(store, idle(0), seq=2, ended=(the_end(claim),))
    assert state(store) is ClaimState.SETTLED


def test_an_end_that_is_told_twice_is_one_end(store: Store) -> None:
    claim = a_minted_claim(store)
    report(store, slot_of(claim, SlotState.RUNNING))
    write(store, lambda tx: apply_job_news(tx, job_news(status="in_progress", runner_name=claim.runner_name), CONFIG))
    for seq in (2, 3):
        report(store, idle(0), seq=seq, ended=(the_end(claim),))
    assert state(store) is ClaimState.SETTLED


def test_the_word_of_github_after_the_end_settles_a_doubtful_claim(store: Store) -> None:
    claim = a_minted_claim(store)
    report(store, slot_of(claim, SlotState.RUNNING), ended=(the_end(claim),))
    assert state(store) is ClaimState.ORPHANED
    write(store, lambda tx: apply_job_news(tx, job_news(status="completed", runner_name=claim.runner_name), CONFIG))
    assert state(store) is ClaimState.SETTLED


def test_a_stop_names_the_claim_and_the_generation_that_the_agent_knows(store: Store) -> None:
    claim = a_minted_claim(store)
    report(store, idle(0))
    assert wish(store).claims[0].generation == 1
    report(store, slot_of(claim, SlotState.STARTING), seq=2)
    assert wish(store).stop == ()
    write(
        store,
        lambda tx: tx.connection.exec_driver_sql("UPDATE claims SET state = 'released', generation = 2"),
    )
    assert [(stop.claim, stop.generation) for stop in wish(store).stop] == [("clm_1", 1)]


def test_a_report_of_another_hosts_claim_moves_nothing(store: Store) -> None:
    claim = a_minted_claim(store, host="host-b")
    report(store, slot_of(claim, SlotState.LISTENING), ended=(the_end(claim),))
    assert state(store) is ClaimState.MINTED


def test_an_unknown_claim_on_a_slot_is_never_stopped(store: Store) -> None:
    report(store, slot_of(a_claim("clm_unknown"), SlotState.RUNNING))
    assert wish(store).stop == ()


def test_a_slot_that_left_the_configuration_is_no_capacity_any_more(store: Store) -> None:
    report(store, idle(0), idle(1))
    report(store, idle(0), seq=2)
    free = read(store, lambda connection: hosts.free_slots(connection, START))
    assert [slot.slot for slot in free] == [0]


def test_a_silent_host_is_no_capacity_and_comes_back_with_its_next_report(store: Store, clock: Any) -> None:
    report(store, idle(0))
    assert read(store, lambda connection: hosts.free_slots(connection, START))
    clock.advance(50)
    assert write(store, lambda tx: hosts.fall_silent(tx, tx.now)) == ["host-a"]
    assert read(store, lambda connection: hosts.free_slots(connection, START)) == []
    report(store, seq=2)
    assert read(store, lambda connection: hosts.free_slots(connection, START))
