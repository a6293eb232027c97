"""The soft mark: percent on small disks, bounded sizes on large ones, inodes always."""

import pytest

from andon.rules.disk_marks import GIB, Room, is_below_soft

TIB = 1024 * GIB


@pytest.mark.parametrize(
    ("total", "free", "below"),
    [
        (20 * GIB, 4 * GIB, False),
        (20 * GIB, 2 * GIB, True),
        (100 * GIB, 16 * GIB, False),
        (100 * GIB, 14 * GIB, True),
        (4 * TIB, 201 * GIB, False),
        (4 * TIB, 199 * GIB, True),
        (0, 0, False),
    ],
)
def test_bytes(total: int, free: int, below: bool) -> None:
    assert is_below_soft(Room(total=total, free=free), 15.0) is below


def test_ten_gib_are_wanted_of_a_large_disk_however_low_the_percentage() -> None:
    assert is_below_soft(Room(total=100 * GIB, free=9 * GIB), 1.0)
    assert not is_below_soft(Room(total=99 * GIB, free=9 * GIB), 1.0)


def test_inodes_count_where_there_is_a_number_of_them() -> None:
    plenty = Room(total=GIB, free=GIB)
    assert not is_below_soft(plenty, 15.0)
    assert is_below_soft(Room(total=GIB, free=GIB, inodes=1000, inodes_free=149), 15.0)
    assert not is_below_soft(Room(total=GIB, free=GIB, inodes=1000, inodes_free=150), 15.0)
