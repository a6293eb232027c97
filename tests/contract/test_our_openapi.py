"""Schemathesis over our own `/openapi.json`: whatever is sent, nothing breaks, and every answer is as described.

In process, with each kind of token. Every other call is bent towards what is there (a real id, a real
signature, the caller's own host), so that answers with content are held against their schemas, too.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import one_of
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from andon.github.signature import sign
from andon.model.config import Server
from andon.runtime.ids import SortableIds
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock
from andon.store import hosts
from andon.store.apply_news import apply_job_news, apply_run_news
from andon.store.apply_sync import apply_report
from andon.store.intake import Intake
from andon.store.spool import Spool
from andon.store.transaction import Store, Tx
from andon.web.app import make_app
from andon.web.openapi import describe
from tests.contract.jumping_clock import JumpingClock
from tests.support.builders import a_config, a_report, idle, job_news, run_news
from tests.support.control import ENROLMENT, SECRET, a_control_plane
from tests.support.running import write

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
TOKENS = {"operator": "operator-token", "viewer": "viewer-token", "nobody": None, "host": "aht_x"}
PER_OPERATION, QUICK = 500, 8
"""Calls of one operation with one kind of token: in the proof, and in `make test`."""
DESCRIBED = schemathesis.openapi.from_dict(describe())
OPERATIONS = sorted(
    # What takes a host away comes last.
    (result.ok() for result in DESCRIBED.get_all_operations()),
    key=lambda operation: (operation.path.endswith("/remove"), operation.path),
)
REAL = {"id": "1", "name": "host-a"}


def _fill(tx: Tx) -> None:
    config = a_config()
    apply_run_news(tx, run_news(1), config)
    for number in range(1, 4):
        apply_job_news(tx, job_news(number, run_id=1), config)
    hosts.enrol(tx, "host-a", "aht_x")
    host = hosts.get_host(tx.connection, "host-a")
    assert host is not None
    apply_report(tx, host, a_report((idle(0), idle(1))), {pool.name: pool for pool in config.pool})


def _bent(case: Case, headers: dict[str, str]) -> None:
    """Names what is there, and signs what is to be signed."""
    for name in case.path_parameters or {}:
        case.path_parameters[name] = REAL.get(name, case.path_parameters[name])
    path = case.operation.path
    if isinstance(case.body, dict):
        if path == "/agent/v1/sync":
            case.body["host"] = "host-a"
        if path == "/agent/v1/enrol":
            case.body |= {"token": ENROLMENT, "clock": None}
    if path == "/webhooks/github":
        headers |= {"x-github-event": "workflow_job", "x-github-delivery": "guid-of-a-delivery"}


class _Caller:
    """Sends cases to the application, all in one event loop, as a server would."""

    def __init__(self, store: Store, folder: Path, token: str | None) -> None:
        config, clock = a_config(server=Server(read="token")), JumpingClock()
        # A database that is slow for a moment is no fault: deliveries take the spool then.
        intake = Intake(store, Spool(folder, SortableIds(clock, Random(1))), logger("test"))
        control = a_control_plane(store, clock, config, viewer_token="viewer-token", intake=intake)
        transport = httpx2.ASGITransport(app=make_app(control), client=("127.0.0.1", 1), raise_app_exceptions=False)
        self._client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8470")
        self._token = token
        self._turns = itertools.count()
        self.answers: Counter[int] = Counter()

    def call(self, runner: asyncio.Runner, case: Case) -> None:
        headers = {} if self._token is None else {"authorization": f"Bearer {self._token}"}
        bent = next(self._turns) % 2 == 0
        if bent:
            _bent(case, headers)
        sent = case.as_transport_kwargs(base_url="http://127.0.0.1:8470", headers=headers)
        request = self._client.build_request(
            sent["method"],
            sent["url"],
            params=sent.get("params"),
            headers=dict(sent["headers"]),
            **({"json": sent["json"]} if "json" in sent else {"content": sent.get("data") or b""}),
        )
        if bent and case.operation.path == "/webhooks/github":
            request.headers["x-hub-signature-256"] = sign(SECRET, request.read())
        answer = runner.run(self._client.send(request))
        self.answers[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    async def close(self) -> None:
        await self._client.aclose()


@pytest.mark.parametrize("who", TOKENS)
def test_no_call_breaks_us_and_every_answer_is_as_described(
    store: Store, tmp_path: Path, count: Callable[[int], int], who: str
) -> None:
    write(store, _fill)
    caller = _Caller(store, tmp_path, TOKENS[who])
    calls = 0
    asked = count(PER_OPERATION)
    with asyncio.Runner() as runner:
        for operation in OPERATIONS:
            chosen = settings(
                max_examples=asked if asked == PER_OPERATION else QUICK,
                phases=[Phase.generate],
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )

            @chosen
            @given(case=one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)))
            def every_call(case: Case) -> None:
                nonlocal calls
                calls += 1
                caller.call(runner, case)

            every_call()
        runner.run(caller.close())
    print(f"{who}: {calls} calls of {len(OPERATIONS)} operations, answered {dict(sorted(caller.answers.items()))}")
    assert calls >= len(OPERATIONS)
    assert any(status < 300 for status in caller.answers), caller.answers


def test_the_description_holds_every_route_for_programs(store: Store, clock: VirtualClock) -> None:
    app: Any = make_app(a_control_plane(store, clock))
    routes = {
        (method.lower(), route.path)
        for route in app.routes
        for method in (route.methods or ()) - {"HEAD"}
        if route.path.startswith(("/api/", "/agent/", "/webhooks/"))
    }
    assert {(operation.method.lower(), operation.path) for operation in OPERATIONS} == routes
