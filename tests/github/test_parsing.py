"""Signature, payloads and error classes, on bodies as GitHub sends them and on ones it should not."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.github.graphql_outcomes import classify_graphql
from andon.github.outcomes import Failed, FailureClass, Got, classify
from andon.github.parsing import guid_time, parse_delivery
from andon.github.signature import is_signed, sign
from andon.model.job_states import JobStatus
from andon.model.news import Ignored, JobNews, RunNews

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
GUID = "5b1f5de0-e677-11f1-8001-0242ac110002"


def job_body(**changes: Any) -> bytes:
    job: dict[str, Any] = {
        "id": 1,
        "run_id": 2,
        "run_attempt": 1,
        "name": "build",
        "status": "queued",
        "head_sha": "abc",
        "created_at": "2026-11-22T10:00:00Z",
        "started_at": "2026-11-22T10:00:00Z",
        "labels": ["self-hosted"],
        "runner_id": None,
        "runner_name": None,
    }
    action = changes.pop("action", "queued")
    more = {name: changes.pop(name) for name in ("deployment",) if name in changes}
    return json.dumps(
        {"action": action, "workflow_job": {**job, **changes}, "repository": {"id": 5, "full_name": "acme/app"}, **more}
    ).encode()


def heard(body: bytes, guid: str = GUID) -> JobNews:
    news = parse_delivery("workflow_job", guid, body)
    assert isinstance(news, JobNews), news
    return news


def test_the_documented_example_of_a_signature() -> None:
    signed = sign("It's a Secret to Everybody", b"Hello, World!")
    assert signed == "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert is_signed("It's a Secret to Everybody", b"Hello, World!", signed)


@given(st.binary(max_size=50), st.text(max_size=80))
def test_no_other_header_is_a_signature(body: bytes, header: str) -> None:
    assert not is_signed("secret", body, header)


def test_a_signature_of_other_bytes_is_none() -> None:
    assert not is_signed("secret", b"b", sign("secret", b"a"))
    assert not is_signed("secret", b"b", None)


def test_a_job_delivery_is_news_ordered_by_the_time_in_its_guid() -> None:
    news = heard(job_body())
    assert (news.id, news.repository, news.status, news.source) == (1, "acme/app", JobStatus.QUEUED, f"webhook:{GUID}")
    assert news.order_at == guid_time(GUID)
    assert guid_time(GUID) is not None


def test_the_deployment_orders_before_the_guid_does() -> None:
    news = heard(job_body(deployment={"updated_at": "2026-11-22T09:00:00Z"}))
    assert news.order_at == datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.mark.parametrize("guid", ["", "x", "0f7a3a5e-1111-4111-8111-111111111111"])
def test_other_guids_tell_no_time(guid: str) -> None:
    assert guid_time(guid) is None


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("queued", "waiting", JobStatus.WAITING),
        ("queued", "queued", JobStatus.QUEUED),
        ("queued", "requested", JobStatus.QUEUED),
        ("waiting", "waiting", JobStatus.WAITING),
        ("in_progress", "queued", JobStatus.IN_PROGRESS),
        ("completed", "in_progress", JobStatus.COMPLETED),
        ("completed", "completed", JobStatus.COMPLETED),
    ],
)
def test_action_and_status_that_disagree(action: str, status: str, expected: JobStatus) -> None:
    assert heard(job_body(action=action, status=status)).status is expected


def test_old_payloads_lack_fields() -> None:
    body = json.loads(job_body())
    del body["workflow_job"]["run_attempt"]
    assert heard(json.dumps(body).encode()).attempt == 1


@pytest.mark.parametrize(
    ("event", "body", "reason"),
    [
        ("ping", b"{}", "ping"),
        ("push", b"{}", "event_not_used"),
        ("workflow_job", b"{}", "not_understood"),
        ("workflow_job", b'{"action": 3}', "not_understood"),
        ("workflow_job", job_body(status="surprise", action="surprise"), "unknown_status"),
        ("workflow_job", job_body(created_at=None, started_at=None), "not_understood"),
        ("workflow_job", job_body(created_at="0001-01-01T00:00:00+01:00"), "not_understood"),
        ("workflow_job", b'{"action": "\xff"}', "not_understood"),
        ("workflow_run", b"[]", "not_understood"),
    ],
)
def test_what_is_ignored_says_why(event: str, body: bytes, reason: str) -> None:
    news = parse_delivery(event, GUID, body)
    assert isinstance(news, Ignored) and news.reason == reason


@given(st.sampled_from(["workflow_job", "workflow_run", "ping", "x"]), st.binary(max_size=200))
def test_no_body_breaks_the_parser(event: str, body: bytes) -> None:
    assert isinstance(parse_delivery(event, GUID, body), Ignored)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(job_body())["workflow_job"])), _JSON)
def test_one_strange_field_never_breaks_the_parser(field: str, value: Any) -> None:
    parse_delivery("workflow_job", GUID, job_body(**{field: value}))


def run_body(**changes: Any) -> bytes:
    run = {
        "id": 2,
        "event": "push",
        "status": "queued",
        "repository": {"id": 5, "full_name": "acme/app"},
        "head_repository": {"id": 5},
        **changes,
    }
    action = run.pop("action", "requested")
    body = {"action": action, "workflow_run": run, "repository": {"id": 5, "full_name": "acme/app"}}
    return json.dumps(body).encode()


@pytest.mark.parametrize(("head", "fork"), [({"id": 5}, False), ({"id": 6}, True), (None, True)])
def test_a_head_elsewhere_or_gone_is_a_fork(head: dict[str, int] | None, fork: bool) -> None:
    news = parse_delivery("workflow_run", GUID, run_body(head_repository=head))
    assert isinstance(news, RunNews) and news.fork is fork


def test_a_run_whose_home_is_not_told_is_measured_by_the_events_repository() -> None:
    for head, fork in (({"id": 5}, False), ({"id": 6}, True)):
        news = parse_delivery("workflow_run", GUID, run_body(head_repository=head, repository=None))
        assert isinstance(news, RunNews) and news.fork is fork


def test_a_completed_run_that_says_queued_is_completed() -> None:
    news = parse_delivery("workflow_run", GUID, run_body(action="completed"))
    assert isinstance(news, RunNews) and news.status == "completed"


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (401, {}, b"", FailureClass.UNAUTHORISED),
        (403, {}, b'{"message": "Resource not accessible by integration"}', FailureClass.FORBIDDEN),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795341600"}, b"", FailureClass.RATE_LIMITED),
        (403, {"retry-after": "30"}, b"", FailureClass.RATE_LIMITED),
        (403, {}, b'{"message": "You have exceeded a secondary rate limit"}', FailureClass.RATE_LIMITED),
        (429, {}, b"", FailureClass.RATE_LIMITED),
        (404, {}, b"", FailureClass.GONE),
        (410, {}, b"", FailureClass.GONE),
        (409, {}, b"", FailureClass.CONFLICT),
        (422, {}, b"", FailureClass.INVALID),
        (400, {}, b"", FailureClass.BUG),
        (500, {}, b"<html>", FailureClass.RETRY_LATER),
        (502, {"retry-after": "5"}, b"", FailureClass.RETRY_LATER),
        (503, {}, b"", FailureClass.RETRY_LATER),
    ],
)
def test_every_answer_has_one_class(status: int, headers: dict[str, str], body: bytes, kind: FailureClass) -> None:
    outcome = classify(status, headers, body, NOW)
    assert isinstance(outcome, Failed) and outcome.kind is kind
    assert outcome.message


def test_limits_say_until_when() -> None:
    after = classify(429, {"retry-after": "30"}, b"", NOW)
    assert isinstance(after, Failed) and after.until == datetime(2026, 11, 22, 10, 0, 30, tzinfo=UTC)
    reset = classify(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795341660"}, b"", NOW)
    assert isinstance(reset, Failed) and reset.until == datetime.fromtimestamp(1795341660, UTC)


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "0"},
        {"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795341600"},
    ],
)
def test_an_end_that_is_not_ahead_names_no_time(headers: dict[str, str]) -> None:
    got = classify(403, headers, b"", NOW)
    assert isinstance(got, Failed)
    assert (got.kind, got.guessed, got.until) == (FailureClass.RATE_LIMITED, True, NOW + timedelta(minutes=1))
    spent = Got(body=b'{"errors": [{"type": "RATE_LIMITED", "message": "x"}]}', at=None, headers=headers)
    graphql = classify_graphql(spent, NOW)
    assert isinstance(graphql, Failed) and (graphql.guessed, graphql.until) == (True, NOW + timedelta(minutes=1))


def test_a_zero_beside_a_quota_that_is_spent_waits_for_the_quota() -> None:
    said = {"retry-after": "0", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795341660"}
    got = classify(403, said, b"", NOW)
    assert isinstance(got, Failed) and (got.guessed, got.until) == (False, NOW + timedelta(minutes=1))
    busy = classify(503, {"retry-after": "0"}, b"", NOW)
    assert isinstance(busy, Failed) and busy.until == NOW + timedelta(seconds=1)


def test_a_good_answer_carries_the_time_of_github() -> None:
    outcome = classify(200, {"date": "Sun, 22 Nov 2026 10:00:00 GMT"}, b"{}", NOW)
    assert isinstance(outcome, Got) and outcome.at == NOW


@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["retry-after", "x-ratelimit-reset"]), st.text()),
    st.binary(),
)
def test_no_answer_breaks_the_classification(status: int, headers: dict[str, str], body: bytes) -> None:
    classify(status, headers, body, NOW)
