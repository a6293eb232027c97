"""The switches of the rails through the API: who may, what holds, what board, metrics and journal say."""

from typing import Any

import msgspec
import pytest

from andon.model.claim_states import ClaimState
from andon.model.config import Rails
from andon.model.rails import Rail
from andon.model.wire import SlotState
from andon.rules.rails import CAPS
from andon.sim.virtual_time import VirtualClock
from andon.store import claims
from andon.store.apply_news import apply_job_news
from andon.store.rail_gate import admit
from andon.store.transaction import Store
from tests.support.builders import a_claim, a_config, a_report, idle, job_news, slot_of
from tests.support.control import a_control_plane, ask
from tests.support.running import write
from tests.web.page_fleet import CONFIG, PageFleet, observing
from tests.web.test_host_changes import a_host
from tests.web.test_pages import words_of

OPERATOR = {"authorization": "Bearer operator-token"}
IN_THE_INTERFACE = (
    "dispatch",
    "rescue",
    "registrations",
    "rerun",
    "quarantine",
    "guard",
    "drain",
    "bootstrap",
    "tracker",
    "comments",
    "probes",
    "upgrade",
)


def flip(store: Store, clock: VirtualClock, name: str, body: Any, headers: Any = OPERATOR, **changes: Any) -> Any:
    control = a_control_plane(store, clock, **changes)
    return ask(control, lambda http: http.post(f"/api/v1/switches/{name}", json=body, headers=headers))


def listed(store: Store, clock: VirtualClock, **changes: Any) -> dict[str, dict[str, Any]]:
    page = ask(a_control_plane(store, clock, **changes), lambda http: http.get("/api/v1/switches")).json()
    return {item["name"]: item for item in page["items"]}


@pytest.mark.parametrize("name", IN_THE_INTERFACE)
def test_every_switch_of_the_interface_is_there(store: Store, clock: VirtualClock, name: str) -> None:
    answer = flip(store, clock, name, {"mode": "off", "reason": "a look first"})
    assert answer.status_code == 202
    assert (answer.json()["applied"], answer.json()["mode"]) == (True, "act")
    found = listed(store, clock)
    assert (found[name]["mode"], found[name]["reason"]) == ("off", "a look first")
    assert [each for each, item in found.items() if item["mode"] != "act"] == [name]


@pytest.mark.parametrize(
    ("name", "body", "headers", "status"),
    [
        ("rescue", {"mode": "off", "reason": "r"}, {}, 401),
        ("rescue", {"mode": "off", "reason": "r"}, {"authorization": "Bearer viewer"}, 403),
        ("rescue", {"mode": "off"}, OPERATOR, 422),
        ("rescue", {"mode": "off", "reason": " "}, OPERATOR, 422),
        ("rescue", {"mode": "of", "reason": "r"}, OPERATOR, 422),
        ("rescue", {"reason": "r"}, OPERATOR, 422),
        ("resuce", {"mode": "off", "reason": "r"}, OPERATOR, 404),
    ],
)
def test_what_is_refused_changes_nothing(
    store: Store, clock: VirtualClock, name: str, body: Any, headers: Any, status: int
) -> None:
    answer = flip(store, clock, name, body, headers, viewer_token="viewer")
    assert answer.status_code == status
    assert answer.json()["error"]["message"].endswith(".")
    assert {item["mode"] for item in listed(store, clock).values()} == {"act"}


def test_the_mode_of_the_fleet_holds_where_it_is_stricter(store: Store, clock: VirtualClock) -> None:
    config = msgspec.structs.replace(a_config(), rails=Rails(mode="observe"))
    flip(store, clock, "rescue", {"mode": "act", "reason": "r"}, config=config)
    flip(store, clock, "guard", {"mode": "off", "reason": "r"}, config=config)
    found = listed(store, clock, config=config)
    assert (found["rescue"]["mode"], found["rescue"]["switch"]) == ("observe", "act")
    assert (found["guard"]["mode"], found["drain"]["mode"]) == ("off", "observe")


def test_a_stop_order_waits_while_rescue_is_off(store: Store, clock: VirtualClock) -> None:
    claim = a_claim(state=ClaimState.RELEASED, deadline=None)
    a_host(store)
    headers = {"authorization": "Bearer aht_host-a"}
    write(store, lambda tx: claims.reserve(tx, [claim]))

    def synced(seq: int) -> Any:
        report = msgspec.to_builtins(a_report((slot_of(claim, SlotState.STARTING), idle(1)), seq=seq))
        control = a_control_plane(store, clock)
        return ask(control, lambda http: http.post("/agent/v1/sync", json=report, headers=headers)).json()["stop"]

    flip(store, clock, "rescue", {"mode": "off", "reason": "r"})
    assert synced(2) == []
    flip(store, clock, "rescue", {"mode": "act", "reason": "r"})
    assert [stop["claim"] for stop in synced(3)] == [claim.id]


def test_why_says_that_dispatch_is_off(store: Store, clock: VirtualClock) -> None:
    a_host(store)
    write(store, lambda tx: apply_job_news(tx, job_news(1), a_config()))
    flip(store, clock, "dispatch", {"mode": "off", "reason": "r"})
    why = ask(a_control_plane(store, clock), lambda http: http.get("/api/v1/jobs/1/why")).json()
    assert (why["cause"], why["facts"]["dispatch"]) == ("degraded", "off")


def use_up(store: Store, rail: Rail) -> int:
    cap = CAPS[rail]
    assert cap is not None
    for _ in range(cap.least + 5):
        write(store, lambda tx: admit(tx, rail, "act"))
    return cap.least


def test_a_cap_that_was_reached_stands_on_the_board_and_in_the_list_until_it_is_over(
    fleet: PageFleet, store: Store, clock: VirtualClock
) -> None:
    fleet.host("host-a")
    least = use_up(store, Rail.RESCUE)
    assert f"The rail rescue reached its cap of {least} acts a minute at 00:00 UTC" in words_of(fleet.get("/").text)
    item = listed(store, clock)["rescue"]
    assert (item["cap"], item["acts"], item["capped_since"]) == (least, least, "2026-01-01T00:00:00Z")
    clock.advance(121)
    assert "reached its cap" not in words_of(fleet.get("/").text)
    assert (listed(store, clock)["rescue"]["acts"], listed(store, clock)["rescue"]["capped_since"]) == (0, None)


def test_a_switch_stands_on_the_board(store: Store, clock: VirtualClock) -> None:
    fleet = PageFleet(store, clock, CONFIG)
    fleet.host("host-a")
    flip(store, clock, "rescue", {"mode": "off", "reason": "GitHub lies about <b>jobs</b>"})
    text = fleet.get("/").text
    assert "The rail rescue is switched off: GitHub lies about &lt;b&gt;jobs&lt;/b&gt;" in text
    flip(store, clock, "rescue", {"mode": "observe", "reason": "r"})
    assert "The rail rescue is switched to observe: r" in words_of(fleet.get("/").text)
    all_observe = PageFleet(store, clock, observing(CONFIG))
    assert "is switched to observe" not in words_of(all_observe.get("/").text), "the banner says it of all"
