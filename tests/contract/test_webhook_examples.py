"""The real payloads of npm's `@octokit/webhooks-examples` through the real ingest and the real apply loop.

Each is stored, then applied or ignored with a reason; none fails, and none of the kinds that we use is
"not understood".
"""

import asyncio
import json
import uuid
from pathlib import Path
from random import Random
from typing import Any, cast

import httpx2
import pytest
from sqlalchemy import select

from andon.github.client import GitHub
from andon.github.parsing import EVENTS
from andon.loops.apply_deliveries import ApplyDeliveries
from andon.loops.fleet import Fleet
from andon.loops.leadership import Leadership
from andon.model.config import Config, Owner
from andon.runtime.ids import SortableIds
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock
from andon.store.intake import Intake
from andon.store.schema import deliveries, jobs, runs
from andon.store.spool import Spool
from andon.store.transaction import Store
from andon.web.app import make_app
from tests.contract.npm_packages import package
from tests.support.builders import a_config, a_pool
from tests.support.control import a_control_plane, delivery_headers
from tests.support.databases import KINDS
from tests.support.running import rows

DATABASES = KINDS
"""`tests/conftest.py`: on both."""
PAYLOADS = 329
Example = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    text = (package("@octokit/webhooks-examples") / "index.json").read_bytes()
    return [(event["name"], payload) for event in json.loads(text) for payload in event["examples"]]


def config_for(examples: list[Example]) -> Config:
    """All owners and labels of the payloads are ours, so that nothing is ignored as somebody else's."""
    logins = {payload["repository"]["owner"]["login"] for _, payload in examples if "repository" in payload}
    wanted = {tuple(payload["workflow_job"]["labels"]) for event, payload in examples if event == "workflow_job"}
    return a_config(
        owner=tuple(Owner(login=login) for login in sorted(logins)),
        pool=tuple(a_pool(name=f"pool-{number}", labels=labels) for number, labels in enumerate(sorted(wanted))),
    )


def told(store: Store, clock: VirtualClock, folder: Path, examples: list[Example]) -> list[dict[str, Any]]:
    """Delivers every example, applies them all, and gives the ledger."""
    config = config_for(examples)
    # A database that is slow for a moment sends deliveries by way of the spool, as it would in service.
    intake = Intake(store, Spool(folder, SortableIds(clock, Random(1))), logger("test"))
    control = a_control_plane(store, clock, config, intake=intake)
    leadership = Leadership(store, clock, logger("test"), holder="me", alone=True)
    # Applying a delivery needs nothing but its body: this GitHub answers no call.
    nobody = cast("GitHub", object())
    fleet = Fleet(
        config=config,
        store=store,
        github=nobody,
        clock=clock,
        log=logger("test"),
        fleet_id="f",
        count=lambda name, /, **labels: None,
        lease=leadership.lease,
    )

    async def main() -> None:
        await leadership.run_once()
        transport = httpx2.ASGITransport(app=make_app(control))
        async with httpx2.AsyncClient(transport=transport, base_url="http://andon.test") as http:
            a_few_at_a_time = asyncio.Semaphore(16)

            async def deliver(event: str, payload: dict[str, Any]) -> None:
                body = json.dumps(payload).encode()
                headers = delivery_headers(body, event=event, guid=str(uuid.uuid1()))
                async with a_few_at_a_time:
                    answer = await http.post("/webhooks/github", content=body, headers=headers)
                assert answer.status_code == 202, (event, payload.get("action"), answer.text)

            await asyncio.gather(*(deliver(event, payload) for event, payload in examples))
        await intake.drain()
        loop = ApplyDeliveries(fleet)
        while await loop.run_once() is not None:
            pass

    asyncio.run(main())
    return rows(store, select(deliveries))


def test_every_payload_is_applied_or_ignored_with_a_reason(
    store: Store, clock: VirtualClock, tmp_path: Path, examples: list[Example]
) -> None:
    assert len(examples) == PAYLOADS
    ledger = told(store, clock, tmp_path, examples)
    assert len(ledger) == PAYLOADS
    assert {row["state"] for row in ledger} == {"applied", "ignored"}
    assert [row["guid"] for row in ledger if not row["reason"]] == []
    unused = {row["event"] for row in ledger if row["reason"] == "event_not_used"}
    assert unused.isdisjoint(EVENTS)


def test_every_payload_of_the_events_we_use_is_understood(
    store: Store, clock: VirtualClock, tmp_path: Path, examples: list[Example]
) -> None:
    used = [(event, payload) for event, payload in examples if event in EVENTS]
    ledger = told(store, clock, tmp_path, used)
    assert {(row["event"], row["state"]) for row in ledger} == {
        ("ping", "ignored"),
        ("workflow_job", "applied"),
        ("workflow_run", "applied"),
    }
    jobs_told = {payload["workflow_job"]["id"] for event, payload in used if event == "workflow_job"}
    assert {row["id"] for row in rows(store, select(jobs.c.id))} == jobs_told
    runs_told = {payload["workflow_run"]["id"] for event, payload in used if event == "workflow_run"}
    assert runs_told <= {row["id"] for row in rows(store, select(runs.c.id))}
