"""Which deliveries are to be asked for again, and at what pace."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from andon.rules.doctor_hook import SentTry, make_ledger
from andon.rules.redelivery import PERIOD_S, how_many, is_open, lost, period_s, trial_pause_s

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def a_try(guid: str, code: int, ago: float = 3600, **more: Any) -> SentTry:
    return SentTry(guid=guid, at=NOW - timedelta(seconds=ago), code=code, event="workflow_job", **more)


def guids(*tries: SentTry, **ours: str) -> list[str]:
    return [one.guid for one in lost(tries, ours, NOW)]


def test_only_what_has_no_success_anywhere_is_lost_the_oldest_first() -> None:
    tries = (a_try("b", 502, 60), a_try("a", 401, 7200), a_try("fine", 202), a_try("twice", 502), a_try("twice", 202))
    assert guids(*tries) == ["a", "b"]
    assert guids() == []


@pytest.mark.parametrize("state", ["stored", "applied", "ignored", "failed"])
def test_what_is_here_is_not_lost(state: str) -> None:
    assert guids(a_try("a", 502), a=state) == []


@pytest.mark.parametrize("state", ["never_seen", "requested"])
def test_what_is_known_from_the_log_only_is_not_here(state: str) -> None:
    assert guids(a_try("a", 502), a=state) == ["a"]
    ledger, _, _ = make_ledger((a_try("a", 502),), {"a": state}, since=NOW - timedelta(days=1), now=NOW)
    assert (ledger.received, ledger.never_seen, ledger.requested) == (0, 1, state == "requested")


def test_without_its_first_try_nobody_knows_whether_that_one_succeeded() -> None:
    assert guids(a_try("a", 502, redelivery=True)) == []
    assert guids(a_try("a", 502, redelivery=True), a_try("a", 502, 7200)) == ["a"]


def test_the_newest_try_says_whether_anything_arrives() -> None:
    assert is_open((a_try("a", 502, 20), a_try("b", 202, 10)))
    assert not is_open((a_try("a", 502, 10), a_try("b", 202, 20)))
    assert is_open((a_try("a", 502, 10, id=1), a_try("b", 202, 10, id=2)))
    assert not is_open(())


def test_the_pace() -> None:
    assert [how_many(open_=True, room=room) for room in (-3, 0, 9)] == [0, 0, 9]
    assert [how_many(open_=False, room=room) for room in (-3, 0, 9)] == [0, 0, 1]
    assert period_s(1) == PERIOD_S
    assert 3600 / period_s(50) * 50 <= 30, "calls an hour, however many webhooks"
    pauses = [trial_pause_s(trials) for trials in (1, 2, 3, 4, 10**9)]
    assert pauses == sorted(pauses) and pauses[-1] == PERIOD_S
