"""What was declared outside the root goes by age and size only as far as its own rule says (R47, R48)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.rules.declared_life import DAY_S, CacheEntry, InWork, beyond_cap, checkout_is_old, kind_in_work
from andon.rules.disk_plan import Candidate, Rank, cheapest_first


@pytest.mark.parametrize(
    "name",
    ["_temp", "_actions", "_tool", "_update", "_PipelineMapping", "_andon", "_andon-trash", "_new-one", ".cache"],
)
def test_the_runners_own_folders_are_none_of_ours(name: str) -> None:
    for inside in (frozenset[str](), frozenset({name})):
        assert kind_in_work(name, is_folder=True, inside=inside) is InWork.RUNNERS


def test_a_checkout_is_told_by_the_folder_of_its_own_name_in_it() -> None:
    assert kind_in_work("app", is_folder=True, inside=frozenset({"app", "extra"})) is InWork.CHECKOUT
    assert kind_in_work("app", is_folder=True, inside=frozenset()) is InWork.CHECKOUT
    assert kind_in_work("backup", is_folder=True, inside=frozenset({"db"})) is InWork.STRANGE
    assert kind_in_work("dump.sql", is_folder=False, inside=frozenset()) is InWork.STRANGE


def test_no_checkout_younger_than_the_longest_job_is_old_whatever_is_configured() -> None:
    now = 100 * DAY_S
    assert not checkout_is_old(now - 13.9 * DAY_S, now, 14)
    assert checkout_is_old(now - 14 * DAY_S, now, 14)
    assert not checkout_is_old(now - 5.9 * DAY_S, now, 0)
    assert not checkout_is_old(now + DAY_S, now, 14), "of tomorrow: its clock was wrong, or ours is"


def entry(number: int, size: int = 10, used_at: float | None = None) -> CacheEntry:
    return CacheEntry(id=f"{number:03}", bytes=size, used_at=float(number) if used_at is None else used_at)


def test_the_least_recently_used_entries_go_down_to_the_cap() -> None:
    entries = [entry(3), entry(1), entry(2), entry(4)]
    assert beyond_cap(entries, 40, used_before=100.0) == ()
    assert beyond_cap(entries, 35, used_before=100.0) == ("001",)
    assert beyond_cap(entries, 20, used_before=100.0) == ("001", "002")


def test_what_was_used_just_now_stays_however_large_the_cache_is() -> None:
    assert beyond_cap([entry(1), entry(2), entry(3)], 0, used_before=2.0) == ("001",)


def test_for_one_that_is_held_another_goes() -> None:
    entries = [entry(1), entry(2), entry(3)]
    assert beyond_cap(entries, 20, used_before=100.0, held={"001"}) == ("002",)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 100), st.floats(0, 100))),
    st.integers(0, 3000),
    st.floats(0, 100),
)
def test_never_below_the_cap_by_more_than_one_entry_and_never_one_that_was_used_since(
    drawn: list[tuple[int, int, float]], cap: int, used_before: float
) -> None:
    entries = {str(at): CacheEntry(id=str(at), bytes=size, used_at=used) for at, (_, size, used) in enumerate(drawn)}
    gone = beyond_cap(entries.values(), cap, used_before=used_before)
    assert all(entries[id].used_at < used_before for id in gone)
    before_last = sum(each.bytes for each in entries.values()) - sum(entries[id].bytes for id in gone[:-1])
    assert not gone or before_last > cap


def test_the_cheapest_bytes_go_first() -> None:
    ranked = [Candidate(id=str(rank), bytes=1, dead_up_s=-float(rank), failed=True, rank=rank) for rank in Rank]
    assert [one.rank for one in cheapest_first(reversed(ranked))] == [
        Rank.WORKSPACE,
        Rank.CACHE,
        Rank.CHECKOUT,
        Rank.IMAGES,
    ]
