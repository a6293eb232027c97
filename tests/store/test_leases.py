"""Leadership: one holder at a time, a generation that only grows, and a fence for who slept."""

from datetime import timedelta

import pytest

from andon.sim.virtual_time import VirtualClock
from andon.store import leases
from andon.store.leases import Fenced, Lease
from andon.store.transaction import Store
from tests.support.running import write

LASTS = timedelta(seconds=15)


def take(store: Store, holder: str, *, alone: bool = False) -> Lease | None:
    return write(store, lambda tx: leases.take(tx, "leader", holder, lasts=LASTS, alone=alone))


def test_one_holder_at_a_time_and_renewal_keeps_the_generation(store: Store, clock: VirtualClock) -> None:
    first = take(store, "a")
    assert first is not None and first.generation == 1
    assert take(store, "b") is None
    clock.advance(10)
    assert take(store, "a") == first
    clock.advance(10)
    assert take(store, "b") is None, "the renewal counts"


def test_a_lease_that_ran_out_goes_to_the_next_with_a_new_generation(store: Store, clock: VirtualClock) -> None:
    take(store, "a")
    clock.advance(15)
    second = take(store, "b")
    assert second is not None and second.generation == 2


def test_whoever_slept_through_it_is_fenced(store: Store, clock: VirtualClock) -> None:
    first = take(store, "a")
    assert first is not None
    write(store, lambda tx: leases.check(tx, first))
    clock.advance(15)
    with pytest.raises(Fenced):
        write(store, lambda tx: leases.check(tx, first))
    take(store, "b")
    with pytest.raises(Fenced):
        write(store, lambda tx: leases.check(tx, first))


def test_a_process_that_is_alone_need_not_wait_for_its_dead_predecessor(store: Store) -> None:
    take(store, "killed")
    successor = take(store, "successor", alone=True)
    assert successor is not None and successor.generation == 2


def test_a_lease_that_was_given_back_need_not_be_waited_for(store: Store) -> None:
    first = take(store, "a")
    assert first is not None
    write(store, lambda tx: leases.give_back(tx, first))
    with pytest.raises(Fenced):
        write(store, lambda tx: leases.check(tx, first))
    second = take(store, "b")
    assert second is not None and second.generation == 2
    write(store, lambda tx: leases.give_back(tx, first))
    write(store, lambda tx: leases.check(tx, second))
