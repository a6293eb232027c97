"""Which registrations may go, and which lists may be believed (R10, R30, R33)."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.rules.liveness_registrations import GRACE, READS, Leftover, is_plausible, read_period_s, why_kept
from tests.support.builders import START

NOW = START + timedelta(hours=1)
LEFT_OVER = Leftover(
    ours=True,
    status="offline",
    busy=False,
    offline_since=NOW - GRACE,
    reads=READS,
    claim_live=False,
    claim_over_since=NOW - GRACE,
    process_reported=False,
)


def test_one_with_nothing_behind_it_may_go() -> None:
    assert why_kept(LEFT_OVER, NOW) is None
    assert why_kept(msgspec.structs.replace(LEFT_OVER, claim_over_since=None), NOW) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"ours": False},
        {"busy": True},
        {"status": "online"},
        {"status": "absent"},
        {"claim_live": True},
        {"process_reported": True},
        {"reads": READS - 1},
        {"offline_since": NOW - GRACE + timedelta(seconds=1)},
        {"claim_over_since": NOW - GRACE + timedelta(seconds=1)},
    ],
    ids=str,
)
def test_each_sign_of_life_keeps_it(changes: dict[str, Any]) -> None:
    assert why_kept(msgspec.structs.replace(LEFT_OVER, **changes), NOW) is not None


@given(
    st.builds(
        Leftover,
        ours=st.booleans(),
        status=st.sampled_from(["online", "offline", "absent", "something new"]),
        busy=st.booleans(),
        offline_since=st.timedeltas(timedelta(0), timedelta(hours=1)).map(lambda ago: NOW - ago),
        reads=st.integers(0, 6),
        claim_live=st.booleans(),
        claim_over_since=st.none() | st.just(START),
        process_reported=st.booleans(),
    )
)
def test_never_a_busy_a_starting_or_a_foreign_one(one: Leftover) -> None:
    if why_kept(one, NOW) is None:
        assert one.ours and not one.busy and one.status == "offline"
        assert not one.claim_live and not one.process_reported and one.reads >= READS


def test_an_empty_list_and_one_that_lacks_what_works_say_nothing() -> None:
    assert not is_plausible((), ())
    assert not is_plausible((), ("a",))
    assert not is_plausible(("x",), ("a", "b"))
    assert is_plausible(("x", "a"), ("a", "b")), "one of two may have ended just now"
    assert is_plausible(("x",), ())


@pytest.mark.parametrize("pages", [1, 10, 50, 100])
def test_lists_cost_at_most_half_of_what_reconciling_may(pages: int) -> None:
    assert pages * 3600 / read_period_s(pages) <= 150
    assert read_period_s(1) == 240
