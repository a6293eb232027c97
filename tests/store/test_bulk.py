"""Many rows in one go: every kind of value comes back as it went in, and known rows are counted out."""

from typing import Any

from sqlalchemy import select

from andon.model.journal import Entry
from andon.sim.virtual_time import VirtualClock
from andon.store.deliveries import Received, keep_all
from andon.store.schema import deliveries, journal
from andon.store.transaction import Store
from tests.support.running import rows, write

EVERY_BYTE = bytes(range(256))
ODD = 'a "quoted" \\ word, a {brace}, a %s, a tab\t, \u00e9 \u4e2d \U0001f600'


def test_values_come_back_as_they_went_in(store: Store, clock: VirtualClock) -> None:
    at = clock.now()
    received = [
        Received(guid=ODD, event="push", action=None, received_at=at, body=EVERY_BYTE),
        Received(guid="b", event="push", action="", received_at=at, body=b""),
    ]
    assert write(store, lambda tx: keep_all(tx, received)) == [True, True]
    found = rows(store, select(deliveries).order_by(deliveries.c.seq))
    assert [(row["guid"], row["action"], row["body"], row["received_at"]) for row in found] == [
        (ODD, None, EVERY_BYTE, at),
        ("b", "", b"", at),
    ]


def test_structured_values_are_kept_once_encoded(store: Store) -> None:
    evidence: dict[str, Any] = {"text": ODD, "list": [1, None, 2**53 + 1], "nested": {"a": 1.5}}
    entry = Entry(
        actor="operator", kind="test", subject_kind="job", subject_id="1", reason=ODD, evidence=evidence, job_id=2**62
    )
    write(store, lambda tx: tx.record(entry))
    (line,) = [row for row in rows(store, select(journal)) if row["kind"] == "test"]
    assert (line["evidence"], line["reason"], line["job_id"], line["host"]) == (evidence, ODD, 2**62, None)
