"""When a filesystem will be full: exact on a straight line, and not turned by one look that lies."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.rules.disk_forecast import EVERY_S, KEEP_S, Look, full_in_s, kept

GIB = 1 << 30


def line(free: int, rate: float, looks: int, *, inodes: int = 10**6, inode_rate: float = 0.0) -> tuple[Look, ...]:
    times = [1000 + EVERY_S * number for number in range(looks)]
    return tuple(Look(at, round(free - rate * (at - 1000)), round(inodes - inode_rate * (at - 1000))) for at in times)


@given(st.integers(10, 10**9), st.integers(5, 30), st.integers(1, 10**6))
def test_a_straight_line_is_exact(rate: int, looks: int, more_s: int) -> None:
    course = line(rate * (3000 + more_s), rate, looks)
    now = course[-1]
    ends = now.free / rate
    told = full_in_s(course, now)
    assert told == pytest.approx(ends) if ends <= 30 * 86400 else told is None


def test_it_counts_from_now_and_not_from_the_last_look_that_was_kept() -> None:
    course = line(200 * GIB, GIB, 6)
    later = Look(course[-1].up_s + 20, course[-1].free - 20 * GIB, 10**6)
    assert full_in_s(course, later) == pytest.approx(30)


@given(st.integers(5, 30), st.integers(0, 29), st.integers(0, 1 << 40))
def test_one_look_that_lies_does_not_turn_it(looks: int, which: int, lie: int) -> None:
    rate = 10 * 1024 * 1024
    course = list(line(1 << 40, rate, looks))
    course[which % looks] = course[which % looks]._replace(free=lie)
    now = line(1 << 40, rate, looks)[-1]
    told = full_in_s(course, now)
    assert told is not None and told == pytest.approx(now.free / rate, rel=0.7)


def test_inodes_run_out_too() -> None:
    course = line(100 * GIB, 0, 6, inodes=10_000, inode_rate=10)
    assert full_in_s(course, course[-1]) == pytest.approx(course[-1].inodes_free / 10)


@pytest.mark.parametrize("rate", [0, -GIB])
def test_what_gets_no_fuller_has_no_end(rate: int) -> None:
    course = line(100 * GIB, rate, 10)
    assert full_in_s(course, course[-1]) is None


def test_too_little_is_known_at_first() -> None:
    course = line(100 * GIB, GIB, 4)
    assert full_in_s(course, course[-1]) is None and full_in_s((), Look(0, 0, 0)) is None


@given(st.lists(st.floats(0, 5000, allow_nan=False), max_size=200))
def test_looks_are_kept_for_a_quarter_of_an_hour_and_not_too_many(times: list[float]) -> None:
    looks: tuple[Look, ...] = ()
    for at in sorted(times):
        looks = kept(looks, Look(at, 0, 0))
    assert len(looks) <= KEEP_S / EVERY_S + 1
    assert all(b.up_s - a.up_s >= EVERY_S for a, b in pairwise(looks))
    assert not looks or sorted(times)[-1] - looks[0].up_s <= KEEP_S


def test_looks_of_a_time_that_did_not_come_yet_are_forgotten() -> None:
    assert kept((Look(9000, 1, 1),), Look(10, 2, 2)) == (Look(10, 2, 2),)
