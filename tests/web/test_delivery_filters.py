"""`/api/v1/deliveries` by state and by time: what the doctor compares with GitHub's log."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from andon.sim.virtual_time import VirtualClock
from andon.store import deliveries
from andon.store.transaction import Store
from tests.support.control import a_control_plane, ask
from tests.support.running import write


@pytest.fixture
def three(store: Store, clock: VirtualClock) -> None:
    """One delivery an hour; the second failed in us."""
    for number in range(3):
        write(store, lambda tx, n=number: deliveries.keep(tx, guid=f"g{n}", event="ping", action=None, body=b"{}"))
        clock.advance(3600)
    (_, second, _) = write(store, lambda tx: deliveries.to_apply(tx.connection, 10))
    write(store, lambda tx: deliveries.finish(tx, second, state="failed", reason="x"))


@pytest.mark.usefixtures("three")
def test_deliveries_are_filtered_and_paged(store: Store, clock: VirtualClock) -> None:
    control = a_control_plane(store, clock)
    start = clock.now() - timedelta(hours=3)

    async def work(http: httpx2.AsyncClient) -> dict[str, Any]:
        async def guids(**query: str) -> list[str]:
            answer = await http.get("/api/v1/deliveries", params=query)
            assert answer.status_code == 200
            return [item["guid"] for item in answer.json()["items"]]

        page = (await http.get("/api/v1/deliveries?limit=2")).json()
        return {
            "all": await guids(),
            "failed": await guids(state="failed"),
            "since": await guids(since=(start + timedelta(hours=1)).isoformat()),
            "both": await guids(since=(start + timedelta(hours=2)).isoformat(), state="failed"),
            "second page": await guids(cursor=page["next"], limit="2"),
            "no zone": (await http.get("/api/v1/deliveries?since=2026-11-22T10:00:00")).status_code,
        }

    assert ask(control, work) == {
        "all": ["g2", "g1", "g0"],
        "failed": ["g1"],
        "since": ["g2", "g1"],
        "both": [],
        "second page": ["g0"],
        "no zone": 422,
    }
