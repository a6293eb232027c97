"""NUL characters are kept out at every edge: PostgreSQL's text takes none."""

import json

import pytest
from sqlalchemy import text

from andon.github.asking import decode
from andon.github.outcomes import Got
from andon.github.parsing import action_of, parse_delivery
from andon.github.runner_payloads import RunnerObject
from andon.model.news import JobNews
from andon.sim.virtual_time import VirtualClock
from andon.store.transaction import Store
from tests.support.control import a_control_plane, ask, delivery_headers
from tests.support.running import read

DATABASES = ("sqlite", "postgresql")
JOB = {
    "id": 7,
    "run_id": 1,
    "name": "a\0b",
    "status": "queued",
    "created_at": "2026-01-01T00:00:00Z",
    "labels": ["x\0"],
}
BODY = json.dumps(
    {"action": "queued", "workflow_job": JOB, "repository": {"id": 1, "full_name": "acme/a\0pp"}}
).encode()


def test_a_delivery_with_nul_in_it_is_stored(store: Store, clock: VirtualClock) -> None:
    hostile = json.dumps({"action": "que\0ued", "name": "\0"}).encode()
    answer = ask(
        a_control_plane(store, clock),
        lambda http: http.post("/webhooks/github", content=hostile, headers=delivery_headers(hostile)),
    )
    assert answer.status_code == 202
    assert read(store, lambda c: c.execute(text("SELECT action FROM deliveries")).scalar_one()) == "queued"


def test_what_github_says_has_no_nul_once_it_is_parsed() -> None:
    news = parse_delivery("workflow_job", "guid", BODY)
    assert isinstance(news, JobNews)
    assert "\0" not in news.name + news.repository + "".join(news.labels)
    got = decode(Got(body=b'{"id": 1, "name": "r\\u0000"}', at=None, headers={}), RunnerObject)
    assert isinstance(got, RunnerObject) and got.name == "r\ufffd"
    assert action_of(BODY) == "queued"


@pytest.mark.parametrize("path", ["/api/v1/jobs?repository=%00", "/api/v1/hosts/a%00b", "/jobs/%00", "/%00"])
def test_an_address_with_nul_is_refused(store: Store, clock: VirtualClock, path: str) -> None:
    answer = ask(a_control_plane(store, clock), lambda http: http.get(path))
    assert answer.status_code == 422
    assert "NUL" in answer.json()["error"]["message"]
