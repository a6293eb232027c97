"""Tables keyed by name: a young first window hides nothing old behind it (R15)."""

from datetime import timedelta

import pytest

from andon.model.claim_states import ClaimState
from andon.sim.virtual_time import VirtualClock
from andon.store import claims, registrations
from andon.store.registrations import Place, Sighting
from andon.store.retention import Key, prune
from andon.store.runner_views import runner_views
from andon.store.transaction import Store
from tests.support.builders import a_claim
from tests.support.running import read, write

PLACE = Place(owner="acme", repository="acme/app")
DAY_S = 86_400.0


def keep(store: Store, place: Place, *names: str) -> None:
    seen = [Sighting(name=name, runner_id=1, status="online", busy=False) for name in names]
    write(store, lambda tx: registrations.keep(tx, place, seen, []))


def test_old_registrations_behind_young_ones_go(store: Store, clock: VirtualClock) -> None:
    keep(store, Place(owner="zeta", repository=""), *(f"old-{number}" for number in range(3)))
    clock.advance(2 * DAY_S)
    keep(store, PLACE, *(f"new-{number}" for number in range(7)))
    after: Key | None = None
    while True:
        step = write(
            store,
            lambda tx, at=after: prune(tx, "registrations", before=tx.now - timedelta(days=1), after=at, window=2),
        )
        after = step.after
        if after is None:
            break
    assert sorted(read(store, registrations.all_registrations)) == [f"new-{number}" for number in range(7)]


@pytest.mark.parametrize(("listed_after_s", "shown"), [(-30, []), (30, ["online_after_end"])])
def test_a_runner_whose_claim_was_over_after_the_list_is_not_listed(
    store: Store, clock: VirtualClock, listed_after_s: float, shown: list[str]
) -> None:
    ended = clock.now() - timedelta(seconds=listed_after_s)
    over = a_claim(state=ClaimState.SETTLED, runner_name="andon-f-clm_1", runner_id=1, since=ended, ended_at=ended)
    write(store, lambda tx: claims.reserve(tx, [over]))
    keep(store, PLACE, over.runner_name)
    clock.advance(60)
    now = clock.now()
    assert [each.verdict for each in read(store, lambda connection: runner_views(connection, now))] == shown
