"""Workspaces as people and programs meet them: lists, the host's page, the link in a job's log."""

from typing import Any

import pytest

from andon.model.wire import LeaseReport
from tests.support.builders import START, at
from tests.web.page_fleet import PageFleet
from tests.web.test_pages import HOSTILE, Parsed, words_of

ID = "9001-1-test-aaaaaaaaaa"
RUNNER = "andon-f1-host-a-0-000001"


def a_lease(id: str = ID, **changes: Any) -> LeaseReport:
    given: dict[str, Any] = {
        "id": id,
        "run_id": 9001,
        "attempt": 1,
        "state": "leased",
        "slot": 0,
        "job": "test",
        "runner": RUNNER,
        "repository": "acme/app",
        "path": f"/andon/runs/0/{id}",
        "since": START,
        **changes,
    }
    return LeaseReport(**given)


@pytest.fixture
def host_a(fleet: PageFleet) -> PageFleet:
    fleet.host("host-a")
    return fleet


def test_the_list_is_paged_and_narrowed(host_a: PageFleet) -> None:
    host_a.host("host-b")
    host_a.report("host-a", leases=(a_lease(), a_lease("9001-1-test-bbbbbbbbbb", state="dead")))
    host_a.report("host-b", leases=(a_lease("9002-1-test-cccccccccc", repository="acme/other"),))

    def ids(query: str) -> list[str]:
        return [each["id"] for each in host_a.get(f"/api/v1/workspaces{query}").json()["items"]]

    assert len(ids("")) == 3
    assert ids("?host=host-b") == ids("?repository=acme/other") == ["9002-1-test-cccccccccc"]
    assert ids("?state=dead") == ["9001-1-test-bbbbbbbbbb"]
    assert ids("?host=host-c") == []
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = host_a.get(f"/api/v1/workspaces?limit=1{f'&cursor={cursor}' if cursor else ''}").json()
        seen += [each["id"] for each in page["items"]]
        cursor = page["next"]
    assert seen == ids("")


def test_one_workspace_says_which_run_holds_it_since_when_and_why(host_a: PageFleet) -> None:
    host_a.report("host-a", leases=(a_lease(state="draining", held_by=("process 12 (make) works in it",), bytes=2048),))
    seen = host_a.get(f"/api/v1/workspaces/{ID}").json()
    assert (seen["repository"], seen["run_id"], seen["attempt"], seen["run"]) == ("acme/app", 9001, 1, "unknown")
    assert (seen["since"], seen["why"], seen["job"]) == (
        "2026-01-01T00:00:00Z",
        "process 12 (make) works in it.",
        None,
    )
    assert host_a.get("/api/v1/workspaces/nothing").status_code == 404


def test_the_hosts_page_shows_them_and_the_job_s_page_its_own(host_a: PageFleet) -> None:
    host_a.news(1, "queued", name="test")
    assert 'id="workspaces"' not in host_a.get("/hosts/host-a").text
    made = host_a.start(1, "host-a", 0, name="test")
    host_a.report("host-a", leases=(a_lease(runner=made.runner_name, held_by=("a mount is left in it",), bytes=2048),))
    page = host_a.get("/hosts/host-a").text
    assert f"ws-{ID}" in Parsed(page).ids()
    text = words_of(page)
    assert "run 9001, attempt 1 (in progress), job 1" in text
    assert "a mount is left in it." in text and "2.0 KiB" in text
    job = host_a.get("/jobs/1").text
    assert f'href="/hosts/host-a#ws-{ID}"' in job and "a mount is left in it." in words_of(job)


def test_what_is_held_too_long_is_marked(host_a: PageFleet) -> None:
    host_a.report("host-a", leases=(a_lease(state="draining", since=at(-601)),))
    assert host_a.get(f"/api/v1/workspaces/{ID}").json()["overdue"] is True
    assert '<span class="tag">held</span>' in host_a.get("/hosts/host-a").text


def test_hostile_texts_of_a_job_stay_text(host_a: PageFleet) -> None:
    host_a.report("host-a", leases=(a_lease(repository=HOSTILE, runner=HOSTILE, held_by=(HOSTILE,)),))
    for page in ("/hosts/host-a", f"/jobs/{ID}"):
        text = host_a.get(page).text
        assert "<script>alert" not in text and "<img src=x" not in text and "\x1b" not in text


def test_the_link_of_a_jobs_log_leads_to_the_job(host_a: PageFleet) -> None:
    host_a.news(1, "queued", name="test")
    made = host_a.start(1, "host-a", 0, name="test")
    host_a.report("host-a", leases=(a_lease(runner=made.runner_name),))
    answer = host_a.get(f"/jobs/{ID}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/1")
    # A month later nobody tells of the workspace any more.
    host_a.report("host-a", leases=())
    answer = host_a.get(f"/jobs/{ID}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/1")


def test_until_the_job_is_known_the_link_says_so(host_a: PageFleet) -> None:
    host_a.news(1, "queued", name="test")
    host_a.report("host-a", leases=(a_lease(),))
    answer = host_a.get(f"/jobs/{ID}")
    assert answer.status_code == 200
    assert "Its job is not known yet." in words_of(answer.text)


def test_of_several_legs_every_one_is_named(host_a: PageFleet) -> None:
    for number in (1, 2):
        host_a.news(number, "queued", name=f"test ({number})", run_id=9001)
    host_a.news(3, "queued", name="lint", run_id=9001)
    page = host_a.get(f"/jobs/{ID}").text
    assert 'href="/jobs/1"' in page and 'href="/jobs/2"' in page and 'href="/jobs/3"' not in page


@pytest.mark.parametrize("id", ["9009-1-test-aaaaaaaaaa", "nothing", "x" * 3000, "%2e%2e%20etc"])
def test_a_link_to_nothing_is_refused_in_one_sentence(host_a: PageFleet, id: str) -> None:
    answer = host_a.get(f"/jobs/{id}")
    assert answer.status_code == 404
    assert "Andon failed" not in answer.text
