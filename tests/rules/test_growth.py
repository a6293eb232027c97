"""The p95 of what a kind of job wrote, and what is expected where little is known (R51)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.rules.growth import UNHEARD_OF, Basis, Growth, Learnt, p95


def test_few_sizes_are_judged_by_the_largest() -> None:
    assert [p95([7]), p95([1, 9, 3]), p95(range(1, 21)), p95(range(1, 41)), p95(range(1, 101))] == [7, 9, 19, 38, 95]
    with pytest.raises(ValueError, match="no sizes"):
        p95([])


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=60))
def test_at_most_one_in_twenty_passes_it_whatever_their_order(sizes: list[int]) -> None:
    found = p95(sizes)
    assert found in sizes
    assert sum(size > found for size in sizes) * 20 <= len(sizes)
    assert p95(sorted(sizes, reverse=True)) == found


def test_of_two_kinds_with_one_name_the_larger_is_expected() -> None:
    of = {"x": 5, "y": 9}
    kinds = [Learnt(repository="a/b", job_key=key, pool="p", p95=of[key], names=("build",)) for key in of]
    known = Growth([*kinds, Learnt(repository="", job_key="", pool="p", p95=2)])
    assert known.of_name("A/b", "p", "build").bytes == 9
    assert known.of_name("a/b", "p", "x (1)").bytes == 5
    assert known.of_name("a/b", "p", None).basis is Basis.POOL
    assert known.of_key("a/b", "p", None).basis is Basis.POOL
    assert known.of_key("a/b", "q", "x").bytes == UNHEARD_OF
