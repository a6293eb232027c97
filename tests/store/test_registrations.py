"""What is kept of GitHub's lists of runners: reads in a row, counted only when they are apart (R30)."""

from typing import Any

from andon.model.claim_states import ClaimState
from andon.store import claims, registrations
from andon.store.registrations import Place, Sighting
from andon.store.transaction import Store
from tests.support.builders import a_claim
from tests.support.running import read, write

PLACE = Place(owner="acme", repository="acme/app")
NAME = "andon-f-clm_1"


def listed(store: Store, *seen: Sighting, live: bool = False) -> None:
    def work(tx: Any) -> None:
        registrations.keep(tx, PLACE, seen, claims.live_claims(tx.connection) if live else [])

    write(store, work)


def one(status: str = "offline", **changes: Any) -> Sighting:
    return Sighting(**{"name": NAME, "runner_id": 1, "status": status, "busy": False, **changes})


def state(store: Store) -> tuple[str, int, bool] | None:
    found = read(store, registrations.all_registrations).get(NAME)
    return None if found is None else (found.status, found.reads, found.since == found.read_at)


def test_reads_in_a_row_are_counted_when_they_are_apart(store: Store, clock: Any) -> None:
    listed(store, one())
    for _ in range(5):
        clock.advance(20)
        listed(store, one())
    assert state(store) == ("offline", 1, True), "one read, however often it was asked"
    clock.advance(20)
    listed(store, one())
    assert state(store) == ("offline", 2, False)


def test_any_change_begins_anew(store: Store, clock: Any) -> None:
    for change in (one(), one("online"), one("online", busy=True), one(), one(runner_id=2)):
        for _ in range(2):
            clock.advance(200)
            listed(store, change)
        assert state(store) == (change.status, 2, False)
    clock.advance(200)
    listed(store, one())
    assert state(store) == ("offline", 1, True)


def test_what_is_not_listed_is_absent_while_its_claim_lives_and_forgotten_after(store: Store, clock: Any) -> None:
    claim = a_claim(state=ClaimState.MINTED, runner_name=NAME, runner_id=1, created_at=clock.now())
    write(store, lambda tx: claims.reserve(tx, [claim]))
    listed(store, live=True)
    assert state(store) is None, "new ones may come late into the list"
    clock.advance(150)
    listed(store, live=True)
    assert state(store) == ("absent", 1, True)
    listed(store)
    assert state(store) is None
