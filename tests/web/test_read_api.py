"""The read API: its shapes, its refusals, and the description that is made from them."""

import asyncio
from typing import Any

import httpx2
import msgspec
import pytest

from andon.model.api import JobView, Page
from andon.model.config import Server
from andon.sim.virtual_time import VirtualClock
from andon.store.apply_news import apply_job_news
from andon.store.transaction import Store
from andon.web.app import make_app
from andon.web.openapi import describe
from tests.support.builders import a_config, job_news
from tests.support.control import a_control_plane, ask
from tests.support.running import write


def get(store: Store, clock: VirtualClock, path: str, **changes: Any) -> Any:
    headers = changes.pop("headers", {})
    return ask(a_control_plane(store, clock, **changes), lambda http: http.get(path, headers=headers))


def some_jobs(store: Store, count: int) -> None:
    for number in range(1, count + 1):
        write(store, lambda tx, number=number: apply_job_news(tx, job_news(number), a_config()))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/jobs?limit=0", 422),
        ("/api/v1/jobs?limit=501", 422),
        ("/api/v1/jobs?limit=\u00b2", 422),
        ("/api/v1/jobs?cursor=x", 422),
        ("/api/v1/jobs?cursor=\u00b2", 422),
        ("/api/v1/jobs?since=yesterday", 422),
        ("/api/v1/jobs?since=2026-01-01T00:00:00", 422),
        ("/api/v1/jobs/x", 404),
        ("/api/v1/jobs/\u00b2", 404),
        ("/api/v1/jobs/99", 404),
        ("/api/v1/jobs/99/why", 404),
        ("/api/v1/jobs/" + "9" * 30, 404),
        ("/api/v1/runs/99", 404),
        ("/api/v1/hosts/none", 404),
        ("/nowhere", 404),
    ],
)
def test_refusals_have_one_shape(store: Store, clock: VirtualClock, path: str, status: int) -> None:
    answer = get(store, clock, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "hint"} and error["message"].endswith(".")


def test_a_wrong_method_is_refused_in_the_same_shape(store: Store, clock: VirtualClock) -> None:
    answer = ask(a_control_plane(store, clock), lambda http: http.post("/api/v1/jobs"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


def test_pages_of_a_list_join_without_gap_or_double(store: Store, clock: VirtualClock) -> None:
    some_jobs(store, 7)
    seen: list[int] = []
    cursor = ""
    while True:
        page = msgspec.json.decode(get(store, clock, f"/api/v1/jobs?limit=3{cursor}").content, type=Page[JobView])
        seen += [job.id for job in page.items]
        if page.next is None:
            break
        cursor = f"&cursor={page.next}"
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_times_end_in_z_and_unknown_is_null(store: Store, clock: VirtualClock) -> None:
    some_jobs(store, 1)
    job = get(store, clock, "/api/v1/jobs/1").json()
    assert job["queued_at"].endswith("Z")
    assert job["runner"] is None and job["conclusion"] is None
    assert job["why"]["cause"] == "no_runner"
    assert [line["kind"] for line in job["story"]] == ["job.queued"]
    assert {"from", "to", "subject", "evidence", "mode"} <= set(job["story"][0])


def test_a_list_tells_no_story(store: Store, clock: VirtualClock) -> None:
    some_jobs(store, 1)
    assert "story" not in get(store, clock, "/api/v1/jobs").json()["items"][0]


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("wrong", 403), ("viewer", 200), ("operator-token", 200)])
def test_reading_needs_a_token_where_the_configuration_says_so(
    store: Store, clock: VirtualClock, token: str | None, status: int
) -> None:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    config = a_config(server=Server(read="token"))
    for path in ("/api/v1/jobs", "/metrics"):
        answer = get(store, clock, path, config=config, viewer_token="viewer", headers=headers)
        assert answer.status_code == status


def test_the_description_names_every_path_and_resolves(store: Store, clock: VirtualClock) -> None:
    described = get(store, clock, "/openapi.json").json()
    assert described == msgspec.json.decode(msgspec.json.encode(describe()))
    text = msgspec.json.encode(described).decode()
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(described["components"]["schemas"])
    assert "/api/v1/jobs/{id}/why" in described["paths"]


def test_a_fault_of_ours_shows_nothing_of_its_inside(store: Store, clock: VirtualClock) -> None:
    control = a_control_plane(store, clock)
    control.ready = lambda: 1 // 0  # type: ignore[assignment,return-value]

    async def work() -> Any:
        transport = httpx2.ASGITransport(app=make_app(control), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://andon.test") as http:
            return await http.get("/readyz")

    answer = asyncio.run(work())
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "error")
    assert "division" not in answer.text
