"""Levels: percent on small disks, bounded sizes on large ones, inodes always, and none of them flaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.model.config import Disk
from andon.model.disk import DiskLevel
from andon.rules.disk_marks import GIB, LEAVE, Room, ballast_of, floor_of, level_of, mark_of

TIB = 1024 * GIB
OK, SOFT, HARD, EMERGENCY = DiskLevel.OK, DiskLevel.SOFT, DiskLevel.HARD, DiskLevel.EMERGENCY
ORDER = (EMERGENCY, HARD, SOFT, OK)
PERCENTS = st.lists(st.floats(0.0, 60.0), min_size=3, max_size=3, unique=True).map(
    lambda three: Disk(emergency_percent=sorted(three)[0], hard_percent=sorted(three)[1], soft_percent=sorted(three)[2])
)
TOTALS = st.integers(1, 64 * TIB)


@pytest.mark.parametrize(
    ("total", "free", "level"),
    [
        (20 * GIB, 4 * GIB, OK),
        (20 * GIB, 3 * GIB - 1, SOFT),
        (20 * GIB, 2 * GIB - 1, HARD),
        (20 * GIB, int(0.8 * GIB) - 1, EMERGENCY),
        (100 * GIB, 16 * GIB, OK),
        (100 * GIB, 14 * GIB, SOFT),
        (100 * GIB, 9 * GIB, HARD),
        (100 * GIB, 3 * GIB, EMERGENCY),
        (4 * TIB, 201 * GIB, OK),
        (4 * TIB, 199 * GIB, SOFT),
        (4 * TIB, 49 * GIB, HARD),
        (4 * TIB, 19 * GIB, EMERGENCY),
        (0, 0, OK),
    ],
)
def test_levels_by_bytes(total: int, free: int, level: DiskLevel) -> None:
    assert level_of(Room(total=total, free=free), Disk()) is level


def test_bounds_of_large_disks_move_with_the_percentages() -> None:
    low = Disk(soft_percent=1.5, hard_percent=1.0, emergency_percent=0.4)
    assert mark_of(SOFT, 100 * GIB, low) == 1.5 * GIB and mark_of(SOFT, 100 * TIB, low) == 20 * GIB
    assert mark_of(EMERGENCY, 100 * TIB, Disk()) == 20 * GIB < mark_of(HARD, 100 * TIB, Disk()) == 50 * GIB


@pytest.mark.parametrize(("left", "level"), [(150, OK), (149, SOFT), (99, HARD), (39, EMERGENCY), (0, EMERGENCY)])
def test_inodes_count_as_bytes_do(left: int, level: DiskLevel) -> None:
    assert level_of(Room(total=GIB, free=GIB, inodes=1000, inodes_free=left), Disk()) is level


def test_a_filesystem_without_a_number_of_inodes_is_short_of_none() -> None:
    assert level_of(Room(total=GIB, free=GIB, inodes=0, inodes_free=0), Disk()) is OK


def test_a_level_is_left_a_third_above_its_mark() -> None:
    def at(percent: float, before: DiskLevel) -> DiskLevel:
        return level_of(Room(total=1000, free=int(10 * percent)), Disk(), before)

    assert [at(19.9, SOFT), at(20, SOFT)] == [SOFT, OK]
    assert [at(13.3, HARD), at(13.4, HARD)] == [HARD, SOFT]
    assert [at(5.3, EMERGENCY), at(5.4, EMERGENCY)] == [EMERGENCY, HARD]
    assert at(14.9, OK) is SOFT and at(15, OK) is OK


@given(TOTALS, PERCENTS, st.sampled_from(ORDER), st.integers(0, 64 * TIB), st.integers(0, 64 * TIB))
def test_more_room_is_never_a_worse_level(total: int, percents: Disk, before: DiskLevel, a: int, b: int) -> None:
    less, more = sorted((min(a, total), min(b, total)))
    worse = level_of(Room(total=total, free=less), percents, before)
    better = level_of(Room(total=total, free=more), percents, before)
    assert ORDER.index(worse) <= ORDER.index(better)


@given(TOTALS, PERCENTS, st.sampled_from(ORDER), st.integers(0, 64 * TIB))
def test_what_was_before_only_ever_holds_a_level(total: int, percents: Disk, before: DiskLevel, free: int) -> None:
    room = Room(total=total, free=min(free, total))
    fresh, now = level_of(room, percents), level_of(room, percents, before)
    assert ORDER.index(now) <= ORDER.index(fresh), "the same room is never better for having been short"
    assert now in (fresh, before) or ORDER.index(before) < ORDER.index(now) < ORDER.index(fresh)
    assert level_of(room, percents, now) is now, "a second look at the same room changes nothing"


@given(
    st.integers(1000, 64 * TIB),
    PERCENTS.filter(lambda percents: percents.emergency_percent > 0.5),
    st.sampled_from([SOFT, HARD, EMERGENCY]),
    st.lists(st.floats(1.0, LEAVE, exclude_max=True), min_size=2, max_size=30),
)
def test_room_that_moves_within_a_third_above_a_mark_moves_no_level(
    total: int, percents: Disk, level: DiskLevel, moves: list[float]
) -> None:
    mark = mark_of(level, total, percents)
    before = level_of(Room(total=total, free=int(mark) - 1), percents)
    seen = [before]
    for move in moves:
        seen.append(level_of(Room(total=total, free=int(mark * move)), percents, seen[-1]))
    # It may go up once, out of a worse level that it also was in; then it stays, however often it moves.
    assert seen == sorted(seen, key=ORDER.index)
    assert all(ORDER.index(one) <= ORDER.index(level) for one in seen)


def test_the_floor_is_the_emergency_mark_or_what_the_owner_says() -> None:
    assert floor_of(1000 * GIB, Disk()) == 20 * GIB
    assert floor_of(1000 * GIB, Disk(admission_floor="30 GiB")) == 30 * GIB
    assert floor_of(50 * GIB, Disk(admission_floor="30 GiB")) == 2 * GIB, "on a small disk only percentages count"


def test_the_ballast_is_a_gib_and_in_proportion_on_small_disks() -> None:
    sizes = [ballast_of(total, Disk()) for total in (100 * GIB, TIB, 10 * GIB, 0)]
    assert sizes == [GIB, GIB, GIB // 10, 0]


def test_the_ballast_is_no_more_than_the_emergency_mark() -> None:
    low = Disk(soft_percent=0.003, hard_percent=0.002, emergency_percent=0.001)
    assert ballast_of(200 * GIB, low) == int(mark_of(EMERGENCY, 200 * GIB, low)) < 3 * 2**20
    assert ballast_of(200 * GIB, Disk(emergency_percent=0)) == 0
