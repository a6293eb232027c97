"""One-use tokens and removal in the store, on every database."""

import threading
from datetime import timedelta

from sqlalchemy import select

from andon.model.enrolment import TokenState
from andon.sim.virtual_time import VirtualClock
from andon.store import enrolments, hosts
from andon.store.apply_sync import apply_report
from andon.store.schema import enrolment_tokens, host_tokens
from andon.store.transaction import Store, Tx
from tests.support.builders import a_pool, a_report, idle
from tests.support.running import read, rows, write


def grant(store: Store, token: str = "aot_1", name: str = "host-a") -> str | None:
    return write(store, lambda tx: enrolments.grant(tx, name, token, reason="new"))


def exchange(store: Store, token: str = "aot_1", name: str = "host-a", host_token: str = "aht_1") -> bool:
    return write(store, lambda tx: enrolments.exchange(tx, name, token, host_token))


def owner(store: Store, token: str) -> str | None:
    return read(store, lambda connection: hosts.host_of_token(connection, token))


def state(store: Store, token: str) -> TokenState | None:
    known = read(store, lambda connection: enrolments.known_token(connection, token))
    return known.state if known else None


def report(tx: Tx, name: str = "host-a") -> None:
    host = hosts.get_host(tx.connection, name)
    assert host is not None
    apply_report(tx, host, a_report((idle(0),), host=name), {"linux": a_pool()})


def test_a_token_is_exchanged_once(store: Store) -> None:
    assert grant(store) is not None
    assert exchange(store) and owner(store, "aht_1") == "host-a"
    assert not exchange(store, host_token="aht_2") and owner(store, "aht_2") is None
    assert state(store, "aot_1") is TokenState.SPENT


def test_of_many_at_once_one_is_let_in(store: Store) -> None:
    grant(store)
    let_in: list[str] = []
    ready = threading.Barrier(6)

    def try_it(number: int) -> None:
        ready.wait()
        if exchange(store, host_token=f"aht_{number}"):
            let_in.append(f"aht_{number}")

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 1
    assert len(rows(store, select(host_tokens))) == 1
    assert owner(store, let_in[0]) == "host-a"


def test_another_name_and_a_late_hour_change_nothing(store: Store, clock: VirtualClock) -> None:
    grant(store)
    assert not exchange(store, name="host-b")
    clock.advance(15 * 60)
    assert not exchange(store)
    assert state(store, "aot_1") is TokenState.GRANTED
    assert rows(store, select(host_tokens)) == []


def test_a_live_host_is_granted_nothing(store: Store, clock: VirtualClock) -> None:
    grant(store)
    exchange(store)
    write(store, report)
    assert grant(store, "aot_2") is None
    clock.advance(45)
    assert grant(store, "aot_2") is not None
    assert exchange(store, "aot_2", host_token="aht_2")
    assert (owner(store, "aht_1"), owner(store, "aht_2")) == (None, "host-a")
    assert state(store, "aht_1") is TokenState.REPLACED


def test_a_removed_host_leaves_a_token_that_says_so(store: Store) -> None:
    grant(store)
    exchange(store)
    write(store, report)
    removed = write(store, lambda tx: enrolments.remove(tx, "host-a", reason="sold"))
    assert removed is not None and removed.jobs == ()
    assert owner(store, "aht_1") is None and state(store, "aht_1") is TokenState.REVOKED
    assert read(store, hosts.all_hosts) == [] and read(store, hosts.all_slots) == []
    assert write(store, lambda tx: enrolments.remove(tx, "host-a", reason="sold")) is None


def test_what_became_of_tokens_is_remembered_for_a_while(store: Store, clock: VirtualClock) -> None:
    grant(store)
    exchange(store)
    write(store, lambda tx: enrolments.remove(tx, "host-a", reason="sold"))
    clock.advance((enrolments.REMEMBERED + timedelta(seconds=1)).total_seconds())
    grant(store, "aot_2", name="host-b")
    assert len(rows(store, select(enrolment_tokens))) == 1
    assert state(store, "aot_2") is TokenState.GRANTED
