"""Enrolment through the API: who is let in, and every refusal as one sentence (interfaces.md section 2)."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from andon.model.config import Server
from andon.model.host_states import Intent
from andon.model.wire import SyncAnswer
from andon.sim.virtual_time import VirtualClock
from andon.store import hosts
from andon.store.transaction import Store
from tests.support.builders import a_config, a_report, idle
from tests.support.control import ENROLMENT, a_control_plane, ask
from tests.support.running import read, write

OPERATOR = {"authorization": "Bearer operator-token"}
ELSEWHERE = "10.0.0.9"


async def add(http: Any, name: str = "host-a") -> Any:
    return await http.post("/api/v1/hosts", json={"name": name, "reason": "a new machine"}, headers=OPERATOR)


async def enrol(http: Any, token: str, name: str = "host-a", clock: Any = None, **headers: str) -> Any:
    body = {"name": name, "token": token, "version": "1"} | ({"clock": clock} if clock else {})
    return await http.post("/agent/v1/enrol", json=body, headers=headers)


async def sync(http: Any, token: str, **changes: Any) -> Any:
    """A sync that is answered at once: hooks' news is never held."""
    changes = {"hooks": ({"hook": "started"},), **changes}
    body = msgspec.json.encode(a_report((idle(0),), **changes))
    return await http.post("/agent/v1/sync", content=body, headers={"authorization": f"Bearer {token}"})


async def remove(http: Any, name: str = "host-a") -> Any:
    return await http.post(f"/api/v1/hosts/{name}/remove", json={"reason": "sold."}, headers=OPERATOR)


def said(answer: Any, status: int) -> str:
    """The refusal's sentence; it is one, and its hint says what to do."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["message"].endswith(".") and error["hint"]
    return str(error["message"])


def test_a_one_use_token_lets_one_host_in_from_anywhere(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        added = (await add(http)).json()
        assert added["token"].startswith("aot_") and added["expires_at"] == "2026-01-01T00:15:00Z"
        answer = await enrol(http, added["token"], clock=clock.now().isoformat())
        assert answer.status_code == 201
        token = answer.json()["host_token"]
        assert token.startswith("aht_") and token != added["token"]
        assert (await sync(http, token)).status_code == 200

    ask(a_control_plane(store, clock), work, client=ELSEWHERE)


def test_tokens_are_kept_hashed_and_stand_in_no_journal_line(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> list[str]:
        one_use = (await add(http)).json()["token"]
        return [one_use, (await enrol(http, one_use)).json()["host_token"]]

    tokens = ask(a_control_plane(store, clock), work)
    dump = write(store, lambda tx: "".join(tx.connection.connection.iterdump()))  # type: ignore[attr-defined]
    assert "host.added" in dump and "host.enrolled" in dump
    assert [token for token in tokens if token in dump] == []


def test_a_replayed_token_is_refused(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        token = (await add(http)).json()["token"]
        assert (await enrol(http, token)).status_code == 201
        assert said(await enrol(http, token), 401) == "This one-use token was used already, on 2026-01-01 00:00 UTC."

    ask(a_control_plane(store, clock), work)


def test_an_expired_token_is_refused(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        token = (await add(http)).json()["token"]
        clock.advance(15 * 60)
        sentence = said(await enrol(http, token), 401)
        assert sentence == "This one-use token expired on 2026-01-01 00:15 UTC, 15 minutes after it was made."

    ask(a_control_plane(store, clock), work)


def test_a_token_is_good_until_its_last_second(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        token = (await add(http)).json()["token"]
        clock.advance(15 * 60 - 1)
        assert (await enrol(http, token)).status_code == 201

    ask(a_control_plane(store, clock), work)


def test_wrong_and_foreign_tokens_are_refused_and_spend_nothing(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        token = (await add(http)).json()["token"]
        assert said(await enrol(http, "aot_guessed"), 401) == "This one-use token is unknown here."
        assert "is for host host-a, not for host-b" in said(await enrol(http, token, "host-b"), 403)
        assert "host token" in said(await enrol(http, "aht_of-another"), 401)
        assert "accepted from the control plane's machine only" in said(await enrol(http, "wrong"), 401)
        assert (await enrol(http, token)).status_code == 201

    ask(a_control_plane(store, clock), work, client=ELSEWHERE)


@pytest.mark.parametrize(("off_s", "status"), [(0, 201), (299, 201), (-299, 201), (600, 422), (-600, 422)])
def test_a_wrong_clock_is_refused_and_spends_nothing(
    store: Store, clock: VirtualClock, off_s: int, status: int
) -> None:
    async def work(http: Any) -> None:
        token = (await add(http)).json()["token"]
        answer = await enrol(http, token, clock=(clock.now() + timedelta(seconds=off_s)).isoformat())
        if status == 201:
            assert answer.status_code == 201
            return
        way = "ahead of" if off_s > 0 else "behind"
        assert said(answer, 422) == f"The host's clock is 600 s {way} the control plane's; more than 300 s is refused."
        assert (await enrol(http, token, clock=clock.now().isoformat())).status_code == 201

    ask(a_control_plane(store, clock), work)


def test_a_newer_token_takes_the_place_of_the_first(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        first, second = [(await add(http)).json()["token"] for _ in range(2)]
        assert "A newer token took the place" in said(await enrol(http, first), 401)
        assert (await enrol(http, second)).status_code == 201

    ask(a_control_plane(store, clock), work)


def behind_a_proxy() -> Any:
    return a_config(server=Server(behind_proxy=True))


@pytest.mark.parametrize("client", ["127.0.0.1", ELSEWHERE])
def test_behind_a_declared_proxy_only_one_use_tokens_count(store: Store, clock: VirtualClock, client: str) -> None:
    async def work(http: Any) -> None:
        assert said(await enrol(http, ENROLMENT), 401) == "Behind a proxy only one-use tokens are accepted."
        assert (await enrol(http, (await add(http)).json()["token"])).status_code == 201

    ask(a_control_plane(store, clock, behind_a_proxy()), work, client=client)


@pytest.mark.parametrize("header", ["x-forwarded-for", "x-forwarded-host", "forwarded", "via", "x-real-ip"])
def test_what_was_passed_on_is_not_local(store: Store, clock: VirtualClock, header: str) -> None:
    async def work(http: Any) -> None:
        said(await enrol(http, ENROLMENT, **{header: "127.0.0.1"}), 401)
        assert (await enrol(http, ENROLMENT)).status_code == 201

    ask(a_control_plane(store, clock), work)


def test_no_header_makes_a_request_local(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        for header in ("x-forwarded-for", "x-real-ip", "forwarded"):
            said(await enrol(http, ENROLMENT, **{header: "127.0.0.1"}), 401)
        said(await enrol(http, ENROLMENT), 401)

    ask(a_control_plane(store, clock), work, client=ELSEWHERE)


def test_a_host_whose_agent_is_live_is_not_added_again(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        before = (await add(http)).json()["token"]
        token = (await enrol(http, before)).json()["host_token"]
        late = (await add(http)).json()["token"]
        await sync(http, token)
        assert "its agent reports" in said(await add(http), 409)
        # A token that was made before the agent reported does not push it out either.
        assert "its agent reports" in said(await enrol(http, late), 409)
        clock.advance(46)
        again = (await enrol(http, late)).json()["host_token"]
        assert (await sync(http, again, seq=2, boot_id="boot-2")).status_code == 200
        assert "was enrolled anew on 2026-01-01 00:00 UTC" in said(await sync(http, token, seq=3), 401)

    ask(a_control_plane(store, clock), work)


def test_a_removed_host_is_told_so_and_may_come_back(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        token = (await enrol(http, (await add(http)).json()["token"])).json()["host_token"]
        await sync(http, token)
        assert (await remove(http)).status_code == 202
        assert said(await sync(http, token, seq=2), 401) == "Host host-a was removed on 2026-01-01 00:00 UTC: sold."
        assert (await http.get("/api/v1/hosts")).json()["items"] == []
        kinds = [line["kind"] for line in (await http.get("/api/v1/journal?host=host-a")).json()["items"]]
        assert kinds == ["host.removed", "host.reporting", "host.enrolled", "host.added"]
        assert said(await remove(http), 404) == 'No host "host-a" is enrolled here.'
        back = (await enrol(http, (await add(http)).json()["token"])).json()["host_token"]
        assert (await sync(http, back, seq=3)).status_code == 200
        said(await sync(http, token, seq=4), 401)

    ask(a_control_plane(store, clock), work)


def test_a_token_that_waits_is_taken_back_by_a_removal(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        token = (await add(http)).json()["token"]
        assert (await remove(http)).status_code == 202
        assert "was removed on" in said(await enrol(http, token), 401)

    ask(a_control_plane(store, clock), work)


def test_a_wrong_clock_of_a_running_agent_closes_its_host_until_it_is_right(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> list[tuple[str, str | None, list[str]]]:
        token = (await enrol(http, (await add(http)).json()["token"])).json()["host_token"]
        seen: list[tuple[str, str | None, list[str]]] = []
        for seq, off_s in enumerate((0, 600, 600, 0), 1):
            await sync(http, token, seq=seq, clock=clock.now() + timedelta(seconds=off_s))
            host = (await http.get("/api/v1/hosts/host-a")).json()
            seen.append((host["intent"], host["reason"], [slot["state"] for slot in host["slots"]]))
        kinds = [line["kind"] for line in (await http.get("/api/v1/journal?host=host-a")).json()["items"]]
        assert (kinds.count("host.cordoned"), kinds.count("host.uncordoned")) == (1, 1)
        return seen

    seen = ask(a_control_plane(store, clock), work)
    because = "its clock is 600 s ahead of the control plane's; set it right and it opens by itself"
    assert seen == [
        ("open", None, ["idle"]),
        ("cordoned", because, ["unavailable"]),
        ("cordoned", because, ["unavailable"]),
        ("open", None, ["idle"]),
    ]


def test_in_observe_mode_a_wrong_clock_is_only_journalled_once(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> None:
        token = (await enrol(http, (await add(http)).json()["token"])).json()["host_token"]
        for seq in (1, 2, 3):
            await sync(http, token, seq=seq, clock=clock.now() + timedelta(minutes=10))
        lines = (await http.get("/api/v1/journal?host=host-a")).json()["items"]
        assert [line["mode"] for line in lines if line["kind"] == "host.cordoned"] == ["observe"]

    config = a_config(rails={"mode": "observe"})
    ask(a_control_plane(store, clock, msgspec.convert(msgspec.to_builtins(config), type(config))), work)
    host = read(store, lambda connection: hosts.get_host(connection, "host-a"))
    assert host is not None and host.intent is Intent.OPEN


def test_a_held_sync_ends_with_the_removal(store: Store, clock: VirtualClock) -> None:

    control = a_control_plane(store, clock)

    async def work(http: Any) -> str:
        token = (await enrol(http, (await add(http)).json()["token"])).json()["host_token"]
        await sync(http, token)
        held = asyncio.create_task(sync(http, token, seq=2, hooks=()))
        while not control.host_nudge("host-a").awaited:  # noqa: ASYNC110 - there is no signal for "is held"
            await asyncio.sleep(0)
        await remove(http)
        return said(await asyncio.wait_for(held, 10), 401)

    assert "was removed on" in ask(control, work)


def test_the_intent_of_a_closed_host_reaches_its_agent(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> str:
        token = (await enrol(http, (await add(http)).json()["token"])).json()["host_token"]
        answer = await sync(http, token, clock=clock.now() - timedelta(minutes=10))
        return msgspec.json.decode(answer.content, type=SyncAnswer).intent.host

    assert ask(a_control_plane(store, clock), work) == "cordoned"
