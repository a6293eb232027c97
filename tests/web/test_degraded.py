"""Degraded conditions are seen: on the board, in the API, by a scrape, and while the database is away (R8)."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from andon.rules.liveness_fleet import ApiFact
from tests.support.builders import START
from tests.web.page_fleet import PageFleet
from tests.web.test_pages import words_of


def codes(fleet: PageFleet) -> list[str]:
    return [each["code"] for each in fleet.get("/api/v1/status").json()["degraded"]]


@pytest.fixture
def lose_database(monkeypatch: pytest.MonkeyPatch) -> Any:
    def lose(fleet: PageFleet) -> None:
        async def nothing(work: Any) -> Any:
            raise OperationalError("SELECT", {}, Exception("connection refused"))

        for way in ("read", "write"):
            monkeypatch.setattr(fleet.store.database, way, nothing)

    return lose


def test_a_calm_board_has_no_strip(fleet: PageFleet) -> None:
    fleet.host("host-a")
    assert 'id="degraded"' not in fleet.get("/").text
    assert codes(fleet) == []
    assert 'andon_degraded{condition="github.budget"} 0.0' in fleet.get("/metrics").text


def test_a_quota_that_is_spent_says_what_waits_and_until_when(fleet: PageFleet) -> None:
    fleet.host("host-a")
    fleet.spend_quota()
    text = words_of(fleet.get("/").text)
    assert "Degraded: token: 900 of 5000 calls are left, only the reserve, so nothing is sent." in text
    assert "no runner is registered, and jobs say that they wait for it" in text
    assert "It ends when GitHub's window ends, and calls are sent again, at about 00:09:00 UTC." in text
    assert "GitHub's lists are read every 4 min 00 s instead of 1 min 00 s" in text
    told = fleet.get("/api/v1/status").json()
    assert [each["code"] for each in told["degraded"]] == ["github.budget"]
    assert told["sweep"] == [{"owner": "acme", "period_s": 240.0, "wanted_s": 60.0}]
    assert 'andon_degraded{condition="github.budget"} 1.0' in fleet.get("/metrics").text


def test_since_when_is_when_it_was_first_seen(fleet: PageFleet) -> None:
    fleet.spend_quota()
    fleet.get("/")
    fleet.clock.advance(60)
    (one,) = fleet.get("/api/v1/status").json()["degraded"]
    assert one["since"] == START.isoformat().replace("+00:00", "Z")


def test_silent_hosts_and_a_github_that_fails_are_told_beside_each_other(fleet: PageFleet) -> None:
    fleet.host("host-a")
    fleet.clock.advance(60)
    fleet.fall_silent("host-a")
    fact = ApiFact(answered_at=None, failing_since=START - timedelta(minutes=2), failures=9, said="HTTP 503")
    fleet.control.github = lambda: fact
    assert codes(fleet) == ["github.down", "agents.away"]
    page = fleet.get("/").text
    assert re.findall('data-code="([a-z.]+)"', page) == ["github.down", "agents.away"]
    assert "GitHub's API fails (HTTP 503)." in words_of(page)


def test_a_board_whose_database_is_away_shows_what_was_read_last(fleet: PageFleet, lose_database: Any) -> None:
    fleet.host("host-a")
    assert "The only host reports." in words_of(fleet.get("/").text)
    lose_database(fleet)
    fleet.clock.advance(5)
    answer = fleet.get("/")
    text = words_of(answer.text)
    assert answer.status_code == 200 and "host-a" in text
    assert "The database does not answer: this is what was read last." in text
    assert "As of 00:00:00 UTC: 0 jobs run" in text
    assert "Degraded: The database does not answer (connection refused)." in text
    assert codes(fleet) == ["database.away"]
    scraped = fleet.get("/metrics")
    assert scraped.status_code == 200
    assert 'andon_degraded{condition="database.away"} 1.0' in scraped.text
    assert "andon_hosts{" not in scraped.text, "nothing is claimed to be known"


def test_a_board_that_read_nothing_yet_says_so(fleet: PageFleet, lose_database: Any) -> None:
    lose_database(fleet)
    answer = fleet.get("/")
    assert answer.status_code == 503
    assert "The database does not answer, and nothing was read yet." in words_of(answer.text)


@pytest.mark.parametrize("path", ["/queue", "/jobs/1", "/hosts/host-a", "/incidents", "/api/v1/jobs", "/api/v1/hosts"])
def test_what_needs_the_database_is_refused_in_one_sentence(fleet: PageFleet, lose_database: Any, path: str) -> None:
    lose_database(fleet)
    answer = fleet.get(path)
    assert answer.status_code == 503
    assert "The database does not answer." in answer.text
