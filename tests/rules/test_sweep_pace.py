"""How the sweep's period follows the quota (R4, R97)."""

from datetime import timedelta

import pytest

from andon.rules.sweep_pace import LONGEST_S, Quota, period_s
from tests.support.builders import START

NOW = START


def quota(left: int, *, limit: int = 5000, minutes: float = 60) -> Quota:
    return Quota(limit=limit, left=left, resets_at=NOW + timedelta(minutes=minutes))


def test_with_nothing_known_the_wanted_period_holds() -> None:
    assert period_s(20, 5, None, NOW) == 20
    assert period_s(20, 5, Quota(limit=None, left=0, resets_at=None), NOW) == 20
    assert period_s(20, 0, quota(0), NOW) == 20, "a round that costs nothing is never put off"


@pytest.mark.parametrize("cost", [1, 10, 13.8, 14, 100, 400])
def test_a_full_window_is_used_up_to_half_and_no_further(cost: float) -> None:
    period = period_s(20, cost, quota(5000), NOW)
    assert period == pytest.approx(max(20, cost * 3600 / 2500))
    assert cost * 3600 / period <= 2500.0001


def test_what_is_left_is_spread_over_the_rest_of_the_window() -> None:
    assert period_s(20, 10, quota(1000), NOW) == 72
    assert period_s(20, 10, quota(100), NOW) == 720
    assert period_s(20, 10, quota(100, minutes=5), NOW) == 60


def test_an_empty_window_is_waited_for_and_never_longer_than_the_bound() -> None:
    assert period_s(20, 10, quota(0, minutes=3), NOW) == 180
    assert period_s(20, 10, quota(0, minutes=55), NOW) == LONGEST_S
    assert period_s(1200, 10, quota(0), NOW) == 1200, "a longer period was asked for"


def test_a_smaller_quota_stretches_more() -> None:
    periods = [
        period_s(20, 10, quota(left, limit=limit), NOW) for limit, left in ((15000, 15000), (5000, 5000), (1000, 1000))
    ]
    assert periods == sorted(periods) and periods[0] == 20 and periods[-1] == 72


def test_a_reset_in_the_past_says_nothing() -> None:
    assert period_s(20, 5, quota(0, minutes=-1), NOW) == 20
