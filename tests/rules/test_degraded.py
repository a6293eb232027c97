"""Which degraded conditions hold: the same facts, and one of them changed (R8)."""

from datetime import timedelta
from typing import Any

import pytest

from andon.model.budget import NO_TOKEN, BudgetView
from andon.model.degraded import DegradedCode
from andon.rules.degraded import DatabaseFact, Facts, SilentHost, conditions
from andon.rules.liveness_fleet import ApiFact
from tests.support.builders import START

MINUTE = timedelta(minutes=1)


def found(**facts: Any) -> dict[DegradedCode, Any]:
    return {each.code: each for each in conditions(Facts(now=START, **facts))}


def a_budget(**changes: Any) -> BudgetView:
    values: dict[str, Any] = {
        "account": "token",
        "resource": "core",
        "owners": ("acme",),
        "limit": 5000,
        "remaining": 900,
        "reserve": 1000,
        "resets_at": START + MINUTE,
        "used": 4000,
        "refused": 3,
        "degraded": "900 of 5000 calls are left, only the reserve, so nothing is sent.",
        "until": START + MINUTE,
    }
    return BudgetView(**{**values, **changes})


def failing(**changes: Any) -> ApiFact:
    values = {"answered_at": START - 2 * MINUTE, "failing_since": START - MINUTE, "failures": 5, "said": "HTTP 502"}
    return ApiFact(**{**values, **changes})


def test_all_is_well() -> None:
    assert conditions(Facts(now=START, hosts=4)) == ()
    assert conditions(Facts(now=START, budgets=[a_budget(degraded=None)])) == ()


def test_the_database_hides_what_waits_for_it() -> None:
    away = DatabaseFact(away_since=START - MINUTE, said="connection refused")
    (one,) = conditions(Facts(now=START, database=away, spooled_since=START))
    assert (one.code, one.grave, one.since) == (DegradedCode.DATABASE_AWAY, True, START - MINUTE)
    assert one.text == "The database does not answer (connection refused)."
    (one,) = conditions(Facts(now=START, spooled_since=START))
    assert (one.code, one.grave) == (DegradedCode.DELIVERIES_SPOOLED, False)
    polled = found(database=away, webhooks=False)[DegradedCode.DATABASE_AWAY]
    assert not any("Webhooks" in line for line in polled.meanwhile)


def test_a_few_failures_are_no_outage_and_an_outage_says_since_when() -> None:
    assert found(api=failing(failures=1)) == {}
    assert found(api=failing(answered_at=START, failing_since=START)) == {}
    down = found(api=failing())[DegradedCode.GITHUB_DOWN]
    assert (down.since, down.text) == (START - MINUTE, "GitHub's API fails (HTTP 502).")
    silent = found(api=failing(unanswered=5))[DegradedCode.GITHUB_DOWN]
    assert silent.text.startswith("GitHub's API does not answer")


def test_a_replica_that_asks_nothing_believes_the_leaders_incident() -> None:
    never = ApiFact(answered_at=None, failing_since=None)
    told = found(api=never, github_down_since=START - MINUTE)[DegradedCode.GITHUB_DOWN]
    assert told.since == START - MINUTE
    answers = ApiFact(answered_at=START, answering_since=START, failing_since=None)
    assert found(api=answers, github_down_since=START - MINUTE) == {}


@pytest.mark.parametrize(
    ("changes", "grave", "words"),
    [
        ({}, True, "no runner is registered"),
        ({"remaining": 0}, True, "no runner is registered"),
        ({"held": True, "remaining": 4000}, True, "No call is made"),
        ({"resource": NO_TOKEN, "remaining": None, "limit": None}, True, "No call is made"),
        ({"remaining": 1900}, False, "What is urgent is sent first"),
    ],
)
def test_a_quota_says_what_still_goes_on(changes: dict[str, Any], grave: bool, words: str) -> None:
    one = found(budgets=[a_budget(**changes)])[DegradedCode.GITHUB_BUDGET]
    assert one.grave is grave and any(words in line for line in one.meanwhile)
    assert one.until == START + MINUTE


def test_what_was_written_down_of_a_quota_is_over_at_its_end() -> None:
    assert found(budgets=[a_budget(until=START)]) == {}


def test_a_stretched_sweep_is_said_with_the_quota_that_stretched_it() -> None:
    one = found(budgets=[a_budget()], sweep_s={"Acme": 240.0})[DegradedCode.GITHUB_BUDGET]
    assert "GitHub's lists are read every 240 s instead of every 60 s." in one.meanwhile
    for others in ({"other": 240.0}, {"acme": 60.0}):
        one = found(budgets=[a_budget()], sweep_s=others)[DegradedCode.GITHUB_BUDGET]
        assert not any("lists" in line for line in one.meanwhile)


def test_silent_hosts_are_one_condition_and_grave_when_nobody_is_left() -> None:
    silent = [SilentHost(name=f"host-{n}", last_seen=START - n * MINUTE, live=n) for n in (1, 2)]
    some = found(hosts=5, silent=silent)[DegradedCode.AGENTS_AWAY]
    assert (some.grave, some.since) == (False, START - 2 * MINUTE)
    assert some.text == "2 of 5 hosts are silent (host-1, host-2)."
    assert any("3 claims stand there" in line for line in some.meanwhile)
    every = found(hosts=2, silent=silent)[DegradedCode.AGENTS_AWAY]
    assert (every.grave, every.since, every.text) == (
        True,
        START - MINUTE,
        "All 2 hosts are silent (host-1, host-2).",
    )
    assert found(hosts=1, silent=silent[:1])[DegradedCode.AGENTS_AWAY].text == "The only host is silent (host-1)."
