"""What goes first where room is short: enough and not more at soft, everything that may from hard on (R52)."""

from hypothesis import given
from hypothesis import strategies as st

from andon.model.config import Disk
from andon.model.disk import DiskLevel
from andon.rules.disk_marks import Room, level_of
from andon.rules.disk_plan import MIN_RECLAIM, Candidate, Leaving, bytes_wanted, cheapest_first, choose

MARKS = Disk()
GIB = 1 << 30
SMALL = 50 * GIB


def room(percent_free: float, inodes_percent: float = 50.0) -> Room:
    return Room(total=SMALL, free=int(SMALL * percent_free / 100), inodes=10_000, inodes_free=int(100 * inodes_percent))


def candidate(number: int, size: int | None = GIB, failed: bool | None = True) -> Candidate:
    return Candidate(id=f"w{number}", bytes=size, dead_up_s=float(number), failed=failed)


def test_with_room_nothing_goes() -> None:
    assert choose(room(21), MARKS, DiskLevel.OK, [candidate(1)]).ids == ()


def test_at_soft_as_much_as_is_wanted_goes_oldest_first() -> None:
    chosen = choose(room(14), MARKS, DiskLevel.OK, [candidate(n) for n in (3, 1, 2, 4, 5)])
    assert chosen.ids == ("w1", "w2", "w3") and 2 * GIB < chosen.wanted <= 3 * GIB, "20 % of 50 GiB less 14 %"


def test_what_nobody_looks_into_goes_before_evidence() -> None:
    ordered = cheapest_first([candidate(1), candidate(2, failed=None), candidate(3, failed=False)])
    assert [one.id for one in ordered] == ["w3", "w1", "w2"]


def test_at_least_a_fiftieth_is_reclaimed() -> None:
    assert bytes_wanted(room(19.99), DiskLevel.SOFT, MARKS, 0) == int(MIN_RECLAIM * SMALL)


def test_what_is_in_the_trash_already_counts() -> None:
    assert choose(room(14), MARKS, DiskLevel.OK, [candidate(1)], Leaving(bytes=4 * GIB)).ids == ()
    assert choose(room(14), MARKS, DiskLevel.OK, [candidate(1)], Leaving(unsure=True)).ids == ()


def test_an_unknown_size_goes_alone() -> None:
    assert choose(room(14), MARKS, DiskLevel.OK, [candidate(1, None), candidate(2)]).ids == ("w1",)


def test_short_of_inodes_one_goes_after_the_other() -> None:
    assert choose(room(60, 14), MARKS, DiskLevel.OK, [candidate(1), candidate(2)]).ids == ("w1",)
    assert choose(room(60, 21), MARKS, DiskLevel.OK, [candidate(1)]).ids == ()


def test_from_hard_on_all_go_whatever_is_in_the_trash() -> None:
    for percent in (9, 3, 0):
        chosen = choose(room(percent), MARKS, DiskLevel.OK, [candidate(n) for n in range(9)], Leaving(unsure=True))
        assert len(chosen.ids) == 9


ROOMS = st.builds(
    lambda total, free, inodes, left: Room(
        total=total, free=int(total * free), inodes=inodes, inodes_free=int(inodes * left)
    ),
    st.integers(1 << 20, 1 << 44),
    st.floats(0, 1),
    st.integers(0, 1 << 30),
    st.floats(0, 1),
)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        id=st.text("abcdef", min_size=3, max_size=6),
        bytes=st.none() | st.integers(0, 1 << 42),
        dead_up_s=st.floats(0, 1e7),
        failed=st.sampled_from([True, False, None]),
    ),
    unique_by=lambda one: one.id,
    max_size=12,
)


@given(room=ROOMS, before=st.sampled_from(DiskLevel), candidates=CANDIDATES, leaving=st.integers(0, 1 << 40))
def test_never_more_than_is_wanted_at_soft_and_never_anything_without_need(
    room: Room, before: DiskLevel, candidates: list[Candidate], leaving: int
) -> None:
    chosen = choose(room, MARKS, before, candidates, Leaving(bytes=leaving))
    level = level_of(room, MARKS, before)
    sizes = {one.id: one.bytes for one in candidates}
    assert set(chosen.ids) <= set(sizes)
    if level is DiskLevel.OK:
        assert chosen.ids == () and chosen.wanted == 0
    if level is DiskLevel.SOFT and len(chosen.ids) > 1:
        # Without the last of them it would not have been enough.
        assert sum(sizes[id] or 0 for id in chosen.ids[:-1]) < chosen.wanted
    if level in (DiskLevel.HARD, DiskLevel.EMERGENCY):
        assert set(chosen.ids) == set(sizes)


@given(data=st.data(), candidates=CANDIDATES)
def test_the_order_they_come_in_is_nothing(data: st.DataObject, candidates: list[Candidate]) -> None:
    assert cheapest_first(data.draw(st.permutations(candidates))) == cheapest_first(candidates)
