"""A pool of which every slot rests is found, with the hosts that rest as a whole; what ends it is a slot that works."""

from typing import Any

import pytest

from andon.rules.pool_rests import SlotFact, resting_pools, works_again
from tests.support.builders import at


def a_slot(host: str, slot: int, closed_by: str | None = "resting", **changes: Any) -> SlotFact:
    known: dict[str, Any] = {"pool": "linux", "failed_starts": 3, "rests_until": at(30)}
    return SlotFact(host=host, slot=slot, closed_by=closed_by, **{**known, **changes})


def test_every_slot_rests() -> None:
    (found,) = resting_pools([a_slot("a", 0), a_slot("a", 1, rests_until=at(10)), a_slot("b", 0, "silent")])
    assert (found.code, found.subject_kind, found.subject_id, found.pool) == ("label.thin", "pool", "linux", "linux")
    assert found.facts == {"resting": 2, "slots": 3, "whole_hosts": ["a"], "first_rested_at": at(10).isoformat()}
    assert "(all slots of a)" in found.title


@pytest.mark.parametrize("other", [None, "cordoned", "silent", "unavailable"])
def test_one_that_is_open_or_none_that_rests_is_no_finding(other: str | None) -> None:
    assert bool(resting_pools([a_slot("a", 0), a_slot("a", 1, other)])) is (other is not None)
    assert resting_pools([a_slot("a", 0, other)]) == ()


def test_pools_stand_for_themselves() -> None:
    slots = [a_slot("a", 0), a_slot("a", 1, None, pool="mac"), *(a_slot(host, 0, pool="arm") for host in "dcba")]
    found = resting_pools(slots)
    assert [each.subject_id for each in found] == ["arm", "linux"]
    assert found[0].facts["whole_hosts"] == ["a", "b", "c", "d"]
    assert found[0].title.endswith("(all slots of a, b, c and others)")


def test_only_a_slot_that_works_shows_the_end() -> None:
    assert works_again("linux", [a_slot("a", 0), a_slot("a", 1, None)]) is None, "its rest is over, and that is all"
    assert works_again("linux", [a_slot("a", 0), a_slot("a", 1, "silent", failed_starts=0)]) is None
    assert works_again("linux", [a_slot("a", 0), a_slot("a", 1, None, failed_starts=0)]) is not None
    assert works_again("linux", [a_slot("a", 0, "cordoned"), a_slot("b", 0, "draining")]) is not None
    assert works_again("linux", [a_slot("a", 0, "cordoned"), a_slot("b", 0)]) is None
    assert works_again("linux", []) is not None
