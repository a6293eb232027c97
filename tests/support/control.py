"""A control plane's web room in process, over a real store, without loops."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import httpx2

from andon.github.signature import sign
from andon.model.config import Config
from andon.runtime.ids import SortableIds
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock
from andon.store.intake import Intake
from andon.store.spool import Spool
from andon.store.transaction import Store
from andon.web.app import make_app
from andon.web.control_plane import ControlPlane
from andon.web.metrics import Metrics
from andon.web.pages import PAGES
from tests.support.builders import a_config

SECRET = "webhook-secret"
ENROLMENT = "enrolment-secret"


def a_control_plane(store: Store, clock: VirtualClock, config: Config | None = None, **changes: Any) -> ControlPlane:
    secrets = iter(range(1, 1000))
    # A folder that nobody can make: a test that needs the spool brings its own. So the database has all the time
    # that a busy machine takes.
    spool = Spool(Path("/proc/no-spool"), SortableIds(clock, Random(2)))
    defaults: dict[str, Any] = {
        "config": config or a_config(),
        "store": store,
        "intake": Intake(store, spool, logger("test"), patience_s=60.0),
        "clock": clock,
        "log": logger("test"),
        "metrics": Metrics(),
        "public_url": "http://board.test",
        "started_at": clock.now(),
        "webhook_secret": SECRET,
        "enrolment_secret": ENROLMENT,
        "operator_token": "operator-token",
        "viewer_token": None,
        "new_secret": lambda: f"secret-{next(secrets)}",
        "ready": lambda: None,
    }
    control = ControlPlane(**{**defaults, **changes})
    store.on_nudges(
        lambda names: [control.host_nudge(name.removeprefix("host:"))() for name in names if name.startswith("host:")]
    )
    return control


def ask(
    control: ControlPlane,
    work: Callable[[httpx2.AsyncClient], Coroutine[Any, Any, Any]],
    client: str = "127.0.0.1",
    base_url: str = "http://127.0.0.1:8470",
    *,
    pages: bool = False,
) -> Any:
    """Runs `work` with a client of the application; `client` is where it seems to come from.

    `pages`: with the pages for people too.
    """

    async def main() -> Any:
        transport = httpx2.ASGITransport(app=make_app(control, PAGES if pages else ()), client=(client, 1))
        async with httpx2.AsyncClient(transport=transport, base_url=base_url) as http:
            return await work(http)

    return asyncio.run(main())


def delivery_headers(
    body: bytes, *, guid: str = "guid-1", event: str = "workflow_job", **changes: Any
) -> dict[str, str]:
    headers = {"x-github-event": event, "x-github-delivery": guid, "x-hub-signature-256": sign(SECRET, body)}
    return {name: value for name, value in {**headers, **changes}.items() if value is not None}
