"""The checker itself: what fits passes, and each kind of mismatch is found."""

import json
from typing import Any

import pytest

from andon.sim.sandbox.fault_kinds import FaultKind
from andon.sim.sandbox.tap import Exchange
from tests.contract.exchange_check import NOT_DESCRIBED, OUTSIDE, check
from tests.contract.published import contract

MINT = "/repos/acme/app/actions/runners/generate-jitconfig"
RUNNER = {"id": 1, "name": "r", "os": "linux", "status": "offline", "busy": False, "labels": [{"name": "x"}]}
HEADERS = {
    "user-agent": "andon/1",
    "accept": "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
    "authorization": "bearer",
    "content-type": "application/json",
}


def exchange(**changes: Any) -> Exchange:
    """A mint of ours, as it should be, with changes; bodies may be given as values."""
    fields: dict[str, Any] = {
        "method": "POST",
        "path": MINT,
        "query": "",
        "request_headers": HEADERS,
        "request_body": {"name": "r", "runner_group_id": 1, "labels": ["x"], "work_folder": "_work"},
        "status": 201,
        "reply_headers": {},
        "reply_body": {"runner": RUNNER, "encoded_jit_config": "e"},
        **changes,
    }
    for name in ("request_body", "reply_body"):
        fields[name] = fields[name] if isinstance(fields[name], str) else json.dumps(fields[name])
    return Exchange(**fields)


def a_get(path: str, **changes: Any) -> Exchange:
    return exchange(**{"method": "GET", "path": path, "request_body": "", "status": 200, **changes})


RUNNERS = "/repos/acme/app/actions/runners"
LISTED = {"total_count": 1, "runners": [RUNNER]}
ERROR = {"message": "Not Found", "documentation_url": "x", "status": "404"}


@pytest.mark.parametrize(
    "fits",
    [
        exchange(),
        exchange(status=409, reply_body={"message": "Already exists", "documentation_url": "x", "status": "409"}),
        exchange(status=502, reply_body={"message": "Unicorn"}, faults=("api_error",)),
        exchange(reply_body="{cut", faults=("api_malformed",)),
        exchange(status=429, reply_headers={"retry-after": "5"}, reply_body={"message": "Slow down"}),
        exchange(request_body="{broken", request_headers={"user-agent": "a-test"}, status=422, reply_body=ERROR),
        a_get(RUNNERS, query="name=r&per_page=100", reply_body=LISTED),
        a_get(RUNNERS, request_headers={**HEADERS, "if-none-match": '"x"'}, status=304, reply_body=""),
        a_get("/repos/acme/app/actions/jobs/1/logs", status=302, reply_headers={"location": "x"}, reply_body=""),
        a_get("/app", request_headers={**HEADERS, "authorization": "bearer jwt"}, status=401, reply_body=ERROR),
        a_get("/made/up", request_headers={}, status=404, reply_body=ERROR),
    ],
)
def test_what_fits_passes(fits: Exchange) -> None:
    assert check(fits) == []


@pytest.mark.parametrize(
    ("what", "broken"),
    [
        ("describes no such call", a_get("/repos/acme/app/actions/runner", reply_body=LISTED)),
        ("describes no such call", exchange(method="PUT")),
        ("body $: 'runner_group_id' is a required property", exchange(request_body={"name": "r", "labels": ["x"]})),
        ("body $.labels", exchange(request_body={"name": "r", "runner_group_id": 1, "labels": []})),
        ("body $.group: GitHub knows no such field", exchange(request_body={"name": "r", "group": 1, "labels": ["x"]})),
        ("body: is not JSON", exchange(request_body="{broken")),
        ("content type", exchange(request_headers={**HEADERS, "content-type": "text/plain"})),
        ("parameter nam: GitHub knows no such parameter", a_get(RUNNERS, query="nam=r", reply_body=LISTED)),
        ("parameter per_page $: 'all'", a_get(RUNNERS, query="per_page=all", reply_body=LISTED)),
        ("stands twice", a_get(RUNNERS, query="page=1&page=2", reply_body=LISTED)),
        ("body: GitHub takes none here", a_get(RUNNERS, request_body={"name": "r"}, reply_body=LISTED)),
        ("x-github-api-version", exchange(request_headers={**HEADERS, "x-github-api-version": "2020-01-01"})),
        ("takes a token", exchange(request_headers={**HEADERS, "authorization": "bearer jwt"})),
        ("the App's own JWT", a_get("/app", status=401, reply_body=ERROR)),
        ("GitHub publishes", exchange(status=202)),
        ("GitHub publishes", exchange(status=502, reply_body={"message": "Unicorn"})),
        ("GitHub publishes", a_get(RUNNERS, status=304, reply_body="")),
        ("GitHub publishes", a_get(RUNNERS, status=429, reply_body={"message": "no reason"})),
        ("without a Location", a_get("/repos/acme/app/actions/jobs/1/logs", status=302, reply_body="")),
        ("answer 201: $: 'encoded_jit_config' is a required", exchange(reply_body={"runner": RUNNER})),
        ("$.runners[0].busy", a_get(RUNNERS, reply_body={**LISTED, "runners": [{**RUNNER, "busy": None}]})),
        ("$.runners[0].colour: GitHub", a_get(RUNNERS, reply_body={**LISTED, "runners": [{**RUNNER, "colour": 1}]})),
        ("a body, where none", exchange(method="DELETE", path=f"{RUNNERS}/1", request_body="", status=204)),
        ("the body is not JSON", exchange(reply_body="<html>")),
    ],
)  # fmt: skip
def test_each_mismatch_is_found(what: str, broken: Exchange) -> None:
    assert any(what in each for each in check(broken)), check(broken)


def test_times_and_addresses_are_looked_at() -> None:
    schema = {"type": "string", "format": "date-time", "nullable": True}
    assert contract().mismatches("2026-01-01T00:00:00Z", schema) == contract().mismatches(None, schema) == []
    assert contract().mismatches("2026-01-01 noon", schema)
    assert contract().mismatches("2026-01-01T00:00:00", schema), "a time without a zone"
    assert contract().mismatches("acme/app", {"type": "string", "format": "uri"})


def test_faults_that_leave_the_contract_exist() -> None:
    assert {kind.value for kind in FaultKind} >= OUTSIDE


def test_calls_that_are_not_described_are_really_not_described() -> None:
    assert set(NOT_DESCRIBED).isdisjoint(contract().operations)
