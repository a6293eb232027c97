"""Changes of hosts through the API: who may, the reason, what they answer, what they do."""

from typing import Any

import pytest

from andon.model.claim_states import ClaimState
from andon.model.config import Owner, Server
from andon.model.host_states import HostObserved
from andon.model.wire import SlotState
from andon.sim.virtual_time import VirtualClock
from andon.store import claims, hosts
from andon.store.apply_news import apply_job_news
from andon.store.apply_sync import apply_report
from andon.store.transaction import Store, Tx
from andon.web.host_changes import HOST_CHANGES
from tests.support.builders import START, a_claim, a_config, a_pool, a_report, idle, job_news, slot_of
from tests.support.control import a_control_plane, ask
from tests.support.running import read, write

OPERATOR = {"authorization": "Bearer operator-token"}
PATHS = [change.path.replace("{name}", "host-a") for change in HOST_CHANGES]


def post(store: Store, clock: VirtualClock, path: str, body: Any = None, **changes: Any) -> Any:
    headers = changes.pop("headers", OPERATOR)
    control = a_control_plane(store, clock, **changes)
    return ask(control, lambda http: http.post(path, json=body, headers=headers))


def a_host(store: Store, *slots: Any, name: str = "host-a") -> None:
    def work(tx: Tx) -> None:
        hosts.enrol(tx, name, f"aht_{name}")
        host = hosts.get_host(tx.connection, name)
        assert host is not None
        apply_report(tx, host, a_report(slots or (idle(0), idle(1)), host=name), {"linux": a_pool()})

    write(store, work)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("viewer", 403), ("guessed", 403), ("aht_host-a", 403), ("\xfc", 403)]
)
def test_a_change_needs_the_operator_token(
    store: Store, clock: VirtualClock, path: str, token: str | None, status: int
) -> None:
    a_host(store)
    headers = {"authorization": f"Bearer {token}".encode()} if token else {}
    body = {"name": "host-b", "reason": "r"}
    answer = post(store, clock, path, body, headers=headers, viewer_token="viewer")
    assert answer.status_code == status
    assert answer.json()["error"]["message"].endswith(".")
    assert read(store, lambda connection: len(hosts.free_slots(connection, START))) == 2


def test_reading_may_be_open_and_changes_are_not(store: Store, clock: VirtualClock) -> None:
    assert post(store, clock, PATHS[0], {"name": "b", "reason": "r"}, headers={}).status_code == 401


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("reason", [None, "", " \n ", 5, "x" * 1001])
def test_a_change_needs_a_reason(store: Store, clock: VirtualClock, path: str, reason: Any) -> None:
    a_host(store)
    body = {"name": "host-b"} | ({} if reason is None else {"reason": reason})
    answer = post(store, clock, path, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_is_absent_has_no_reason_either(store: Store, clock: VirtualClock, path: str) -> None:
    answer = ask(a_control_plane(store, clock), lambda http: http.post(path, headers=OPERATOR))
    assert answer.status_code == 422
    broken = ask(a_control_plane(store, clock), lambda http: http.post(path, content=b"{", headers=OPERATOR))
    assert broken.status_code == 400


def test_an_accepted_change_names_its_journal_line(store: Store, clock: VirtualClock) -> None:
    a_host(store)
    answer = post(store, clock, "/api/v1/hosts/host-a/cordon", {"reason": "new  disk\n"})
    assert answer.status_code == 202
    changed = answer.json()
    assert (changed["applied"], changed["mode"]) == (True, "act")
    lines = ask(a_control_plane(store, clock), lambda http: http.get("/api/v1/journal")).json()["items"]
    line = next(line for line in lines if line["id"] == changed["journal"])
    assert (line["actor"], line["kind"], line["reason"]) == ("operator", "host.cordoned", "new disk")
    assert (line["from"], line["to"]) == ("open", "cordoned")


def test_a_secret_in_a_reason_is_not_kept(store: Store, clock: VirtualClock) -> None:
    a_host(store)
    secret = "aht_abcdefghijklmnopqrstuvwxyz"
    post(store, clock, "/api/v1/hosts/host-a/cordon", {"reason": f"its token {secret} leaked"})
    found = read(store, lambda connection: hosts.get_host(connection, "host-a"))
    assert found is not None and found.reason == "its token [redacted] leaked"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"name": "../etc", "reason": "r"}, 422, "is no host name"),
        ({"name": "host-b\n", "reason": "r"}, 422, "is no host name"),
        ({"name": "host-b", "reason": "r", "pools": ["gpu"]}, 422, 'No pool "gpu"'),
    ],
)
def test_what_cannot_be_added(store: Store, clock: VirtualClock, body: Any, status: int, words: str) -> None:
    answer = post(store, clock, "/api/v1/hosts", body)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


def test_a_cordoned_host_is_no_capacity_anywhere(store: Store, clock: VirtualClock) -> None:
    a_host(store)
    control = a_control_plane(store, clock)

    async def work(http: Any) -> tuple[Any, Any, str]:
        await http.post("/api/v1/hosts/host-a/cordon", json={"reason": "r"}, headers=OPERATOR)
        host = (await http.get("/api/v1/hosts/host-a")).json()
        return host, (await http.get("/api/v1/pools")).json()["items"][0], (await http.get("/metrics")).text

    host, pool, metrics = ask(control, work)
    assert [(slot["state"], slot["intent"]) for slot in host["slots"]] == [("unavailable", "open")] * 2
    assert (pool["slots"], pool["idle"]) == (2, 0)
    assert 'andon_slots{pool="linux",state="unavailable"} 2.0' in metrics
    assert 'state="idle"' not in metrics
    assert read(store, lambda connection: hosts.free_slots(connection, START)) == []
    assert post(store, clock, "/api/v1/hosts/host-a/uncordon", {"reason": "r"}).status_code == 202
    assert len(read(store, lambda connection: hosts.free_slots(connection, START))) == 2


def test_a_change_that_the_state_does_not_allow(store: Store, clock: VirtualClock) -> None:
    a_host(store)
    answer = post(store, clock, "/api/v1/hosts/host-a/uncordon", {"reason": "r"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        409,
        "Host host-a is open, so there is nothing to uncordon.",
    )
    assert post(store, clock, "/api/v1/hosts/none/cordon", {"reason": "r"}).status_code == 404


def test_a_removal_ends_no_job_and_keeps_history(store: Store, clock: VirtualClock) -> None:
    claim = a_claim(state=ClaimState.BUSY)
    write(
        store, lambda tx: apply_job_news(tx, job_news(status="in_progress", runner_name=claim.runner_name), a_config())
    )
    write(store, lambda tx: claims.reserve(tx, [claim]))
    a_host(store, slot_of(claim, SlotState.RUNNING), idle(1))
    answer = post(store, clock, "/api/v1/hosts/host-a/remove", {"reason": "sold"})
    assert (answer.status_code, answer.json()["jobs"]) == (202, [1])
    kept = read(store, lambda connection: claims.get_claim(connection, claim.id))
    assert kept is not None and kept.state is ClaimState.BUSY
    assert read(store, lambda connection: hosts.all_slots(connection)) == []
    job = ask(a_control_plane(store, clock), lambda http: http.get("/api/v1/jobs/1")).json()
    assert (job["status"], job["host"]) == ("in_progress", "host-a")


@pytest.mark.parametrize("listed", ["hosts", "runners", "pools", "owners"])
def test_every_list_is_told_in_pages(store: Store, clock: VirtualClock, listed: str) -> None:
    pools = tuple(a_pool(name=f"pool-{number}", labels=(f"l{number}",)) for number in range(5))
    owners = tuple(Owner(login=f"owner-{number}") for number in range(5))
    made = [a_claim(f"clm_{n}", job_id=n, slot=n, state=ClaimState.REGISTERED) for n in range(5)]
    write(store, lambda tx: claims.reserve(tx, made))
    for number in (3, 1, 4, 0, 2):
        a_host(store, name=f"host-{number}")
    assert read(store, lambda c: {host.observed for host in hosts.all_hosts(c)}) == {HostObserved.REPORTING}
    config = a_config(pool=pools, owner=owners)

    async def work(http: Any) -> list[str]:
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await http.get(f"/api/v1/{listed}?limit=2{cursor}")).json()
            assert 1 <= len(page["items"]) <= 2
            seen += [item.get("name") or item["login"] for item in page["items"]]
            if page["next"] is None:
                return seen
            cursor = f"&cursor={page['next']}"

    seen = ask(a_control_plane(store, clock, config), work)
    own = [name for name in seen if listed != "owners" or name.startswith("owner-")]
    assert own == sorted(own) and len(own) == len(set(own)) == 5
    bad = ask(a_control_plane(store, clock, config), lambda http: http.get(f"/api/v1/{listed}?limit=0"))
    assert bad.status_code == 422


def test_the_description_of_the_api_needs_a_token_where_reading_does(store: Store, clock: VirtualClock) -> None:
    control = a_control_plane(store, clock, a_config(server=Server(read="token")), viewer_token="viewer")
    assert ask(control, lambda http: http.get("/openapi.json")).status_code == 401
    shown = ask(control, lambda http: http.get("/openapi.json", headers={"authorization": "Bearer viewer"})).json()
    assert set(PATHS) - {"/api/v1/hosts"} <= {path.replace("{name}", "host-a") for path in shown["paths"]}
    assert set(shown["paths"]["/api/v1/hosts"]) == {"get", "post"}
