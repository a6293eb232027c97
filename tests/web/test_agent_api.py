"""Enrolment and sync as agents meet them (interfaces.md sections 2 and 5)."""

import asyncio
from datetime import timedelta
from typing import Any, Literal

import msgspec
import pytest

from andon.model.claim_states import ClaimState
from andon.model.config import Rails, Server
from andon.model.wire import SEQ_HEADER, LeaseReport, SlotReport, SlotState, SyncAnswer, SyncRequest
from andon.sim.virtual_time import VirtualClock
from andon.store import claims, hosts
from andon.store.apply_news import apply_job_news, apply_run_news
from andon.store.transaction import Store
from andon.web.control_plane import ControlPlane
from tests.support.builders import START, a_claim, a_config, a_report, idle, job_news, run_news, slot_of, the_end
from tests.support.control import ENROLMENT, a_control_plane, ask
from tests.support.running import read, write


def enrol_body(now: VirtualClock, /, **changes: Any) -> dict[str, Any]:
    body = {"name": "host-a", "token": ENROLMENT, "version": "1", "clock": now.now().isoformat()}
    return {**body, **changes}


async def enrol(http: Any, now: VirtualClock, /, **changes: Any) -> Any:
    return await http.post("/agent/v1/enrol", json=enrol_body(now, **changes))


async def sync(http: Any, token: str, report: SyncRequest) -> Any:
    return await http.post(
        "/agent/v1/sync", content=msgspec.json.encode(report), headers={"authorization": f"Bearer {token}"}
    )


def test_an_enrolled_host_may_sync_and_its_token_is_kept_hashed(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> Any:
        token = (await enrol(http, clock)).json()["host_token"]
        return token, await sync(http, token, a_report((idle(0),)))

    token, answer = ask(a_control_plane(store, clock), work)
    assert answer.status_code == 200
    assert msgspec.json.decode(answer.content, type=SyncAnswer).ack == 1
    dump = write(store, lambda tx: "".join(tx.connection.connection.iterdump()))  # type: ignore[attr-defined]
    assert token not in dump


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (401, {"token": "wrong"}),
        (422, {"name": "../etc"}),
        (422, {"name": ""}),
        (422, {"clock": "late"}),
        (422, {"clock": "2026-01-01T00:00:00"}),
        (400, None),
    ],
)
def test_a_bad_enrolment_is_refused_in_one_sentence(
    store: Store, clock: VirtualClock, status: int, changes: dict[str, Any] | None
) -> None:
    if changes == {"clock": "late"}:
        changes = {"clock": (clock.now() + timedelta(minutes=10)).isoformat()}

    async def work(http: Any) -> Any:
        if changes is None:
            return await http.post("/agent/v1/enrol", content=b"{")
        return await enrol(http, clock, **changes)

    answer = ask(a_control_plane(store, clock), work)
    assert answer.status_code == status
    assert answer.json()["error"]["message"].endswith(".")


def test_a_taken_name_is_refused(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> list[int]:
        return [(await enrol(http, clock)).status_code for _ in range(2)]

    assert ask(a_control_plane(store, clock), work) == [201, 409]


def test_the_enrolment_secret_works_from_this_machine_only(store: Store, clock: VirtualClock) -> None:
    answer = ask(a_control_plane(store, clock), lambda http: enrol(http, clock), client="10.0.0.9")
    assert answer.status_code == 401


def test_a_proxy_on_this_machine_does_not_make_everybody_local(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> Any:
        headers = {"x-forwarded-for": "203.0.113.9"}
        return await http.post("/agent/v1/enrol", json=enrol_body(clock), headers=headers)

    assert ask(a_control_plane(store, clock), work).status_code == 401


@pytest.mark.parametrize(
    ("base_url", "status"),
    [
        ("http://127.0.0.1:8470", 201),
        ("http://localhost:8470", 201),
        ("http://[::1]:8470", 201),
        ("http://[::1]", 201),
        ("http://localhost", 201),
        ("http://ci.example.org", 401),
        ("http://localhost.example.org:8470", 401),
        ("http://10.0.0.9:8470", 401),
    ],
)
def test_a_silent_proxy_is_known_by_the_host_that_it_passes_on(
    store: Store, clock: VirtualClock, base_url: str, status: int
) -> None:
    answer = ask(a_control_plane(store, clock), lambda http: enrol(http, clock), base_url=base_url)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("server", "status"),
    [
        (Server(public_url="https://ci.example.org"), 401),
        (Server(public_url="http://ci.example.org"), 401),
        (Server(public_url="https://localhost"), 401),
        (Server(behind_proxy=True), 401),
        (Server(public_url="http://localhost:8470"), 201),
        (Server(public_url="https://ci.example.org", tls_cert_file="c", tls_key_file="k"), 201),
    ],
)
def test_a_proxy_that_rewrites_the_host_is_known_by_the_public_url(
    store: Store, clock: VirtualClock, server: Server, status: int
) -> None:
    control = a_control_plane(store, clock, a_config(server=server))
    assert ask(control, lambda http: enrol(http, clock)).status_code == status


def test_unknown_and_foreign_tokens_are_refused(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> list[int]:
        token = (await enrol(http, clock)).json()["host_token"]
        return [
            (await http.post("/agent/v1/sync", content=b"{}")).status_code,
            (await sync(http, "aht_unknown", a_report())).status_code,
            (await sync(http, token, a_report(host="host-b"))).status_code,
            (await sync(http, token, a_report(v=9))).status_code,
            (await http.post("/agent/v1/sync", content=b"{", headers={"authorization": f"Bearer {token}"})).status_code,
        ]

    assert ask(a_control_plane(store, clock), work) == [401, 401, 403, 426, 400]


def test_one_version_of_skew_is_served_either_way(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> list[int]:
        token = (await enrol(http, clock)).json()["host_token"]
        newer = msgspec.to_builtins(a_report((idle(0),), v=2)) | {"a_section_of_tomorrow": 1}
        older = {"v": 0, "host": "host-a", "boot_id": "b", "seq": 9, "agent_version": "0"}
        headers = {"authorization": f"Bearer {token}"}
        return [(await http.post("/agent/v1/sync", json=body, headers=headers)).status_code for body in (newer, older)]

    assert ask(a_control_plane(store, clock), work) == [200, 200]


@pytest.mark.parametrize("number", [-1, 2**63, -(10**30), 10**30])
@pytest.mark.parametrize("field", ["seq", "slot", "generation", "exit"])
def test_a_number_that_no_database_keeps_is_refused_and_named(
    store: Store, clock: VirtualClock, field: str, number: int
) -> None:
    async def work(http: Any) -> Any:
        token = (await enrol(http, clock)).json()["host_token"]
        body = msgspec.to_builtins(a_report((idle(0),)), str_keys=True)
        if field == "seq":
            body["seq"] = number
        elif field == "slot":
            body["slots"][0]["slot"] = number
        else:
            end = {"claim": "clm_1", "generation": 1, "at": START.isoformat(), field: number}
            body["ended"] = [end]
        return await http.post(
            "/agent/v1/sync", content=msgspec.json.encode(body), headers={"authorization": f"Bearer {token}"}
        )

    answer = ask(a_control_plane(store, clock), work)
    if field == "exit" and number == -1:
        assert answer.status_code == 200, "a program may say so"
    else:
        assert answer.status_code == 422 and field in answer.text


@pytest.mark.parametrize(("fleet", "said"), [("act", ["act", "off"]), ("observe", ["observe", "off"])])
def test_a_host_hears_whether_the_guard_may_act(
    store: Store, clock: VirtualClock, fleet: Literal["act", "observe"], said: list[str]
) -> None:
    """R98: in a fleet that only observes no host takes directories away."""

    async def work(http: Any) -> list[str]:
        token = (await enrol(http, clock)).json()["host_token"]
        first = (await sync(http, token, a_report((idle(0),), seq=1))).json()
        body = {"mode": "off", "reason": "the disk is being examined"}
        headers = {"authorization": "Bearer operator-token"}
        assert (await http.post("/api/v1/switches/guard", json=body, headers=headers)).status_code == 202
        second = (await sync(http, token, a_report((), seq=2))).json()
        return [answer["policy"]["guard"] for answer in (first, second)]

    control = a_control_plane(store, clock, a_config(rails=Rails(mode=fleet)))
    assert ask(control, work) == said


async def is_held(control: ControlPlane) -> None:
    """Returns once a sync of host-a waits for news."""
    while not control.host_nudge("host-a").awaited:  # noqa: ASYNC110 - there is no signal for "nothing to say"
        await asyncio.sleep(0)


def test_a_held_sync_is_answered_as_soon_as_a_runner_was_minted(store: Store, clock: VirtualClock) -> None:
    control = a_control_plane(store, clock)

    async def work(http: Any) -> Any:
        token = (await enrol(http, clock)).json()["host_token"]
        await sync(http, token, a_report((idle(0),)))
        held = asyncio.create_task(sync(http, token, a_report(seq=2)))
        await is_held(control)

        def mint(tx: Any) -> None:
            apply_job_news(tx, job_news(), a_config())
            claims.reserve(tx, [a_claim(state=ClaimState.MINTED)])
            claims.keep_jit_config(tx, "clm_1", "SECRET")
            tx.nudges.add("host:host-a")

        await store.write(mint)
        return msgspec.json.decode((await asyncio.wait_for(held, 10)).content, type=SyncAnswer)

    answer = ask(control, work)
    assert [(order.id, order.jit, order.slot) for order in answer.claims] == [("clm_1", "SECRET", 0)]


def test_a_held_sync_is_answered_as_soon_as_a_run_of_its_workspaces_is_over(store: Store, clock: VirtualClock) -> None:
    control = a_control_plane(store, clock)
    lease = LeaseReport(id="10-1-test-aaaaaaaaaa", run_id=10, attempt=1, state="leased", runner="r-0")

    async def work(http: Any) -> Any:
        token = (await enrol(http, clock)).json()["host_token"]
        await store.write(lambda tx: apply_job_news(tx, job_news(1, "completed", runner_name="r-0"), a_config()))
        await store.write(lambda tx: apply_run_news(tx, run_news(status="in_progress"), a_config()))
        first = await sync(http, token, a_report((idle(0),), leases=(lease,)))
        held = asyncio.create_task(sync(http, token, a_report(seq=2)))
        await is_held(control)
        await store.write(lambda tx: apply_run_news(tx, run_news(status="completed"), a_config()))
        answers = [first, await asyncio.wait_for(held, 10)]
        return [msgspec.json.decode(each.content, type=SyncAnswer).runs for each in answers]

    assert ask(control, work) == [{"10": "in_progress"}, {"10": "completed"}]


def test_a_newer_sync_ends_the_held_one_with_204(store: Store, clock: VirtualClock) -> None:
    control = a_control_plane(store, clock)

    async def work(http: Any) -> tuple[int, int]:
        token = (await enrol(http, clock)).json()["host_token"]
        await sync(http, token, a_report((idle(0),)))
        held = asyncio.create_task(sync(http, token, a_report(seq=2)))
        await is_held(control)
        newer = asyncio.create_task(sync(http, token, a_report((idle(0), idle(1)), seq=3)))
        first = await asyncio.wait_for(held, 10)
        second = await asyncio.wait_for(newer, 10)
        return first.status_code, second.status_code

    assert ask(control, work) == (204, 200)


def test_an_older_sync_changes_nothing(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> int:
        token = (await enrol(http, clock)).json()["host_token"]
        await sync(http, token, a_report((idle(0), idle(1)), seq=5))
        return (await asyncio.wait_for(sync(http, token, a_report((), seq=4)), 10)).status_code

    assert ask(a_control_plane(store, clock), work) == 204
    assert len(read(store, lambda connection: hosts.free_slots(connection, START))) == 2


async def _runs_claim_1(store: Store, http: Any, clock: VirtualClock, *, seq: int) -> str:
    """An enrolled host that runs clm_1 and reported with this `seq`; gives its token."""
    token = (await enrol(http, clock)).json()["host_token"]
    claim = a_claim(state=ClaimState.LAUNCHED)

    def launch(tx: Any) -> None:
        apply_job_news(tx, job_news(), a_config())
        claims.reserve(tx, [claim])

    await store.write(launch)
    assert (await sync(http, token, a_report((slot_of(claim, SlotState.STARTING),), seq=seq))).status_code == 200
    return token


@pytest.mark.parametrize("replica", ["the same", "another"])
def test_an_agent_whose_clock_was_set_back_hears_where_to_go_on_and_loses_no_end(
    store: Store, clock: VirtualClock, replica: str
) -> None:
    first = a_control_plane(store, clock)
    second = first if replica == "the same" else a_control_plane(store, clock)
    ended = (the_end(a_claim()),)

    async def before(http: Any) -> str:
        return await _runs_claim_1(store, http, clock, seq=1000)

    async def after(http: Any) -> None:
        unread = await asyncio.wait_for(sync(http, token, a_report((idle(0),), seq=7, ended=ended)), 10)
        assert (unread.status_code, unread.headers[SEQ_HEADER], unread.content) == (204, "1000", b"")
        assert not (await store.read(lambda connection: claims.get_claims(connection, ["clm_1"])))["clm_1"].ended_at
        answer = await asyncio.wait_for(sync(http, token, a_report((idle(0),), seq=1001, ended=ended)), 10)
        assert msgspec.json.decode(answer.content, type=SyncAnswer).ack == 1001
        assert (await store.read(lambda connection: claims.get_claims(connection, ["clm_1"])))["clm_1"].ended_at

    token = ask(first, before)
    ask(second, after)


def test_a_restarted_control_plane_that_knows_no_slots_asks_for_all_of_them(store: Store, clock: VirtualClock) -> None:
    async def work(http: Any) -> Any:
        token = (await enrol(http, clock)).json()["host_token"]
        return msgspec.json.decode((await sync(http, token, a_report(None))).content, type=SyncAnswer)

    assert ask(a_control_plane(store, clock), work).resync


def test_a_host_hears_the_pools_of_its_slots(store: Store, clock: VirtualClock) -> None:
    """An adopted runner's pool is told by its labels, which its agent does not know; its exports hang on it (R37)."""

    async def work(http: Any) -> dict[str, str]:
        token = (await enrol(http, clock)).json()["host_token"]
        own = SlotReport(slot=1000, kind="adopted", pool="linux", state=SlotState.IDLE, runner="old-1")
        unknown = SlotReport(slot=1001, kind="adopted", pool="", state=SlotState.IDLE, runner="old-2")
        return (await sync(http, token, a_report((own, unknown), seq=1))).json()["policy"]["slot_pools"]

    assert ask(a_control_plane(store, clock), work) == {"1000": "linux"}
