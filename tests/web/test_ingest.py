"""Webhook ingest: nothing unsigned, broken or huge changes anything; nothing acknowledged is lost (R2)."""

import json
from typing import Any

import pytest
from sqlalchemy import select, text

from andon.sim.virtual_time import VirtualClock
from andon.store import deliveries
from andon.store.schema import deliveries as table
from andon.store.transaction import Store
from andon.web.ingest import MAX_BODY
from tests.support.control import a_control_plane, ask, delivery_headers
from tests.support.running import rows, write

BODY = json.dumps({"action": "queued"}).encode()


def post(store: Store, clock: VirtualClock, body: bytes, headers: dict[str, str]) -> Any:
    return ask(a_control_plane(store, clock), lambda http: http.post("/webhooks/github", content=body, headers=headers))


def test_a_signed_delivery_is_stored_before_it_is_acknowledged(store: Store, clock: VirtualClock) -> None:
    answer = post(store, clock, BODY, delivery_headers(BODY))
    assert (answer.status_code, answer.json()) == (202, {"delivery": "guid-1", "stored": True})
    assert [(row["guid"], row["state"], row["body"]) for row in rows(store, select(table))] == [
        ("guid-1", "stored", BODY)
    ]


@pytest.mark.parametrize(
    ("status", "body", "changes"),
    [
        (401, BODY, {"x-hub-signature-256": None}),
        (401, BODY, {"x-hub-signature-256": "sha256=" + "0" * 64}),
        (401, BODY, {"x-hub-signature-256": "nonsense \u00e9"}),
        (400, b"{broken", {}),
        (400, b"\xff\xfe", {}),
        (400, b'{"action": "\xff"}', {}),
        (400, b"[" * 100_000, {}),
        (400, BODY, {"x-github-delivery": None}),
        (400, BODY, {"x-github-event": None}),
    ],
)
def test_unusable_deliveries_are_refused_and_change_nothing(
    store: Store, clock: VirtualClock, status: int, body: bytes, changes: dict[str, Any]
) -> None:
    headers = delivery_headers(body, **changes)
    answer = post(store, clock, body, {name: value.encode() for name, value in headers.items()})  # type: ignore[misc]
    assert answer.status_code == status
    assert answer.json()["error"]["message"].endswith(".")
    assert rows(store, select(table)) == []


def test_the_signature_is_checked_before_the_body_is_parsed(store: Store, clock: VirtualClock) -> None:
    headers = delivery_headers(b"{broken") | {"x-hub-signature-256": "sha256=" + "0" * 64}
    assert post(store, clock, b"{broken", headers).status_code == 401


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "streamed"])
def test_a_body_over_25_mb_is_refused(store: Store, clock: VirtualClock, declared: bool) -> None:
    body = b" " * (MAX_BODY + 1)

    async def chunks() -> Any:
        for start in range(0, len(body), 1 << 20):
            yield body[start : start + (1 << 20)]

    headers = delivery_headers(body)
    control = a_control_plane(store, clock)
    content = body if declared else chunks()
    answer = ask(control, lambda http: http.post("/webhooks/github", content=content, headers=headers))
    assert (answer.status_code, bool(answer.json()["error"]["hint"])) == (413, True)
    assert rows(store, select(table)) == []


def test_an_endless_body_is_not_read_to_its_end(store: Store, clock: VirtualClock) -> None:
    read = 0

    async def chunks() -> Any:
        nonlocal read
        for _ in range(60):
            read += 1
            yield b" " * (1 << 20)

    control = a_control_plane(store, clock)
    answer = ask(control, lambda http: http.post("/webhooks/github", content=chunks(), headers=delivery_headers(b"")))
    assert answer.status_code == 413
    assert read <= MAX_BODY // (1 << 20) + 2


@pytest.mark.parametrize(
    ("given", "reason"),
    [(None, "no_signature"), ("nonsense", "bad_signature"), ("sha1=" + "0" * 40, "bad_signature")],
)
def test_without_a_signature_no_byte_of_the_body_is_read(
    store: Store, clock: VirtualClock, given: str | None, reason: str
) -> None:
    read = 0

    async def chunks() -> Any:
        nonlocal read
        read += 1
        yield BODY

    control = a_control_plane(store, clock)
    changes: dict[str, Any] = {"x-hub-signature-256": given}
    headers = delivery_headers(BODY, **changes)

    async def work(http: Any) -> tuple[int, str]:
        answer = await http.post("/webhooks/github", content=chunks(), headers=headers)
        return answer.status_code, (await http.get("/metrics")).text

    status, metrics = ask(control, work)
    assert (status, read) == (401, 0)
    counted = f'event="workflow_job",outcome="refused",reason="{reason}"'
    assert [line for line in metrics.splitlines() if counted in line and line.endswith(" 1.0")]


def test_a_declared_length_that_is_too_large_is_413_signed_or_not(store: Store, clock: VirtualClock) -> None:
    unsigned: dict[str, Any] = {"x-hub-signature-256": None}
    headers = delivery_headers(BODY, **unsigned) | {"content-length": str(MAX_BODY + 1)}
    assert post(store, clock, BODY, headers).status_code == 413


def test_a_duplicate_is_acknowledged_and_stored_once(store: Store, clock: VirtualClock) -> None:
    for _ in range(2):
        assert post(store, clock, BODY, delivery_headers(BODY)).status_code == 202
    assert len(rows(store, select(table))) == 1


def test_a_redelivery_after_our_own_failure_is_applied(store: Store, clock: VirtualClock) -> None:
    post(store, clock, BODY, delivery_headers(BODY))
    write(store, lambda tx: tx.connection.execute(text("UPDATE deliveries SET state = 'failed', attempts = 5")))
    post(store, clock, BODY, delivery_headers(BODY))
    assert [(row["state"], row["attempts"]) for row in rows(store, select(table))] == [("stored", 0)]


@pytest.mark.parametrize("state", ["applied", "ignored"])
def test_a_redelivery_of_what_was_done_is_not_done_again(store: Store, clock: VirtualClock, state: str) -> None:
    post(store, clock, BODY, delivery_headers(BODY))
    write(store, lambda tx: tx.connection.execute(text("UPDATE deliveries SET state = :s"), {"s": state}))
    post(store, clock, BODY, delivery_headers(BODY))
    assert [row["state"] for row in rows(store, select(table))] == [state]


def test_a_delivery_that_keeps_failing_in_us_is_put_aside_with_its_body(store: Store, clock: VirtualClock) -> None:
    post(store, clock, BODY, delivery_headers(BODY))
    for _ in range(deliveries.MAX_ATTEMPTS):
        waiting = write(store, lambda tx: deliveries.to_apply(tx.connection, 10))
        write(store, lambda tx, waiting=waiting: deliveries.count_failure(tx, waiting[0], "a bug"))
    (row,) = rows(store, select(table))
    assert (row["state"], row["reason"], row["body"]) == ("failed", "a bug", BODY)


def test_refusals_are_counted_by_reason(store: Store, clock: VirtualClock) -> None:
    control = a_control_plane(store, clock)

    async def work(http: Any) -> str:
        await http.post("/webhooks/github", content=BODY, headers={"x-github-event": "x" * 50})
        return (await http.get("/metrics")).text

    assert 'andon_deliveries_total{event="other",outcome="refused",reason="no_signature"} 1.0' in ask(control, work)
