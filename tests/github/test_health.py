"""What counts as an answer of GitHub: a proxy that speaks in its place is none (R36)."""

import pytest

from andon.github.health import Health
from andon.github.outcomes import Failed, FailureClass, Got
from tests.support.builders import at

PAGE = {"content-type": "text/html; charset=utf-8"}
GITHUB = {"content-type": "application/json", "x-github-request-id": "C0FE"}
REFUSED = Failed(kind=FailureClass.FORBIDDEN, status=403, message="no")


@pytest.mark.parametrize("outcome", [Got(body=b"<html>", at=None, headers=PAGE), REFUSED])
def test_a_page_of_a_proxy_is_no_answer_of_github(outcome: Got | Failed) -> None:
    health = Health()
    health.came(outcome, at(0), PAGE)
    assert (health.fact.failing_since, health.fact.unanswered, health.fact.answered_at) == (at(0), 1, None)


def test_a_refusal_of_github_is_an_answer() -> None:
    health = Health()
    health.came(REFUSED, at(0), GITHUB)
    assert (health.fact.failing_since, health.fact.answered_at) == (None, at(0))


def test_the_first_and_the_last_failure_are_kept_while_they_last() -> None:
    health = Health()
    away = Failed(kind=FailureClass.RETRY_LATER, status=None, message="no answer")
    for second in (10, 20, 30):
        health.came(away, at(second))
    assert (health.fact.failing_since, health.fact.failed_at) == (at(10), at(30))
    health.came(REFUSED, at(40), GITHUB)
    assert (health.fact.failing_since, health.fact.failed_at) == (None, None)
