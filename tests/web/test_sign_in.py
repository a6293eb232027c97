"""Reading with a viewer token: by header, and by a browser's cookie; where each is wanted."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from andon.model.config import Config, Server
from andon.sim.virtual_time import VirtualClock
from andon.store.transaction import Store
from andon.web.app import make_app
from andon.web.pages import PAGES
from andon.web.viewer_cookie import LASTS, is_good, make_cookie
from tests.support.builders import START, a_config
from tests.support.control import a_control_plane

VIEWER = "the-viewer-token"
GUARDED = ["/", "/queue", "/jobs/1", "/hosts/a", "/live", "/metrics", "/openapi.json", "/api/v1/jobs", "/api/v1/hosts"]
OPEN = ["/healthz", "/readyz"]


def an_app(store: Store, clock: VirtualClock, **server: Any) -> Starlette:
    config: Config = a_config(server=Server(read="token", **server))
    return make_app(a_control_plane(store, clock, config, viewer_token=VIEWER), PAGES)


def ask_app(app: Starlette, work: Callable[[httpx2.AsyncClient], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://andon.test") as http:
            return await work(http)

    return asyncio.run(main())


async def sign_in(http: Any, token: str, **more: str) -> Any:
    return await http.post("/sign-in", data={"token": token, **more})


@pytest.mark.parametrize("path", GUARDED)
def test_nothing_is_read_without_a_token(store: Store, clock: VirtualClock, path: str) -> None:
    answer = ask_app(an_app(store, clock), lambda http: http.get(path))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", OPEN)
def test_what_machines_ask_stays_open(store: Store, clock: VirtualClock, path: str) -> None:
    assert ask_app(an_app(store, clock), lambda http: http.get(path)).status_code == 200


@pytest.mark.parametrize("token", [VIEWER, "operator-token"])
def test_a_browser_signs_in_once_and_reads_on(store: Store, clock: VirtualClock, token: str) -> None:
    async def work(http: Any) -> None:
        asked = await http.get("/queue")
        assert 'action="/sign-in"' in asked.text and 'value="/queue"' in asked.text
        assert "form-action 'self'" in asked.headers["content-security-policy"]
        answer = await sign_in(http, token, next="/queue")
        assert (answer.status_code, answer.headers["location"]) == (303, "/queue")
        kept = answer.headers["set-cookie"]
        assert "HttpOnly" in kept and "SameSite=lax" in kept and token not in kept
        for path in ("/", "/queue", "/metrics", "/openapi.json", "/api/v1/jobs"):
            assert (await http.get(path)).status_code == 200, path
        assert "form-action 'none'" in (await http.get("/")).headers["content-security-policy"]

    ask_app(an_app(store, clock), work)


def test_a_wrong_token_gets_no_cookie(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        for token in ("wrong", "", "\ud7ff" * 3):
            answer = await sign_in(http, token)
            assert answer.status_code == 403 and "set-cookie" not in answer.headers
            assert 'action="/sign-in"' in answer.text and (token or "x-y-z") not in answer.text

    ask_app(an_app(store, clock), work)


def test_the_cookie_changes_nothing(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> int:
        await sign_in(http, "operator-token")
        return (await http.post("/api/v1/hosts", json={"name": "b", "reason": "r"})).status_code

    assert ask_app(an_app(store, clock), work) == 401


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a?b", "/a\r\nx: y"]
)
def test_it_leads_nowhere_else(store: Store, clock: VirtualClock, wanted: str) -> None:
    answer = ask_app(an_app(store, clock), lambda http: sign_in(http, VIEWER, next=wanted))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    ("server", "secure"),
    [({}, False), ({"behind_proxy": True}, True), ({"tls_cert_file": "c"}, True), ({"public_url": "https://x"}, True)],
)
def test_the_cookie_is_for_https_alone_where_that_is_served(
    store: Store, clock: VirtualClock, server: dict[str, Any], secure: bool
) -> None:
    async def work(http: Any) -> Any:
        headers = {"x-forwarded-proto": "https", "content-type": "application/x-www-form-urlencoded"}
        return await http.post("/sign-in", content=f"token={VIEWER}", headers=headers)

    kept = ask_app(an_app(store, clock, **server), work).headers["set-cookie"]
    assert ("Secure" in kept) is secure


def test_a_cookie_ends_and_dies_with_its_token() -> None:
    cookie = make_cookie(VIEWER, START)
    assert is_good(cookie, VIEWER, START + LASTS - timedelta(seconds=1))
    assert not is_good(cookie, VIEWER, START + LASTS)
    assert not is_good(cookie, "another-token", START)
    later = f"{int((START + 2 * LASTS).timestamp())}.{cookie.partition('.')[2]}"
    for forged in (later, "", ".", "1", "x.y", f"9999999999999.{cookie.partition('.')[2]}", "\xb2.a", cookie + "0"):
        assert not is_good(forged, VIEWER, START), forged


def test_a_cookie_that_is_none_is_as_good_as_no_cookie(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> int:
        return (await http.get("/", headers={"cookie": "andon_viewer=1.2"})).status_code

    assert ask_app(an_app(store, clock), work) == 401
