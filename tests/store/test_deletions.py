"""A host's deletion journal is kept once, however often it is told, and a foreign deletion is journalled (R49)."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from andon.model.disk import Deletion
from andon.store import deletions, hosts
from andon.store.apply_sync import apply_report
from andon.store.schema import journal
from andon.store.transaction import Store, Tx
from tests.support.builders import START, a_report, at
from tests.support.running import read, rows, write


@pytest.fixture(autouse=True)
def host(store: Store) -> None:
    for name in ("host-a", "host-b"):
        write(store, lambda tx, name=name: hosts.enrol(tx, name, f"aht_{name}"))


def a_deletion(id: str = "d-1", **changes: Any) -> Deletion:
    given: dict[str, Any] = {
        "id": id,
        "at": at(-5),
        "path": "/a/runs/0/x",
        "path_class": "dead",
        "actor": "agent:guard",
        "reason": "its run is over",
        "bytes": 7,
        "lease": "x",
    }
    return Deletion(**{**given, **changes})


def tell(store: Store, *told: Deletion, host: str = "host-a") -> dict[str, int]:
    def work(tx: Tx) -> dict[str, int]:
        known = hosts.get_host(tx.connection, host)
        assert known is not None
        return dict(apply_report(tx, known, a_report(host=host, deletions=told, seq=known.seq + 1), {}))

    return write(store, work)


def kept(store: Store, host: str = "host-a") -> list[deletions.KeptDeletion]:
    return read(store, lambda connection: deletions.newest(connection, host, 500))


def test_told_again_it_is_the_same_deletion_and_counted_once(store: Store) -> None:
    assert tell(store, a_deletion(), a_deletion("d-2", path_class="trash")) == {"dead": 1, "trash": 1}
    assert tell(store, a_deletion(), a_deletion("d-2", path_class="trash"), a_deletion("d-3")) == {"dead": 1}
    assert [each.id for each in kept(store)] == ["d-3", "d-2", "d-1"]
    assert tell(store, a_deletion(), host="host-b") == {"dead": 1}, "an id is of its host alone"
    first = kept(store)[-1]
    assert (first.at, first.told_at, first.bytes, first.lease) == (at(-5), START, 7, "x")


def test_bytes_that_are_known_only_when_it_is_gone_are_added(store: Store) -> None:
    tell(store, a_deletion(bytes=None), a_deletion("d-2"))
    assert tell(store, a_deletion(bytes=9), a_deletion("d-2", bytes=99)) == {}
    assert {each.id: each.bytes for each in kept(store)} == {"d-1": 9, "d-2": 7}, "what was known stands"


def test_twice_in_one_report_is_once(store: Store) -> None:
    assert tell(store, a_deletion(), a_deletion()) == {"dead": 1}
    assert len(kept(store)) == 1


def test_a_class_that_only_a_newer_agent_knows_is_counted_among_the_others(store: Store) -> None:
    assert tell(store, a_deletion(path_class="moonbase")) == {"other": 1}
    assert kept(store)[0].path_class == "moonbase"


def test_a_foreign_deletion_is_journalled_once_with_who_may_have_done_it(store: Store) -> None:
    foreign = a_deletion(actor="foreign", evidence=("process 77 (rm) touched it",), reason="a lease was on it")
    tell(store, foreign)
    tell(store, foreign, a_deletion("d-2"))
    (line,) = rows(store, select(journal).where(journal.c.kind == "guard.foreign"))
    assert line["host"] == "host-a" and line["actor"] == "agent:host-a"
    assert line["evidence"]["candidates"] == ["process 77 (rm) touched it"]
    assert "/a/runs/0/x" in line["reason"]
    found = read(store, lambda connection: deletions.foreign_since(connection, at(-1), 10))
    assert [each.id for each in found] == ["d-1"]
    assert read(store, lambda connection: deletions.foreign_since(connection, START, 10)) == []


def test_hostile_texts_and_times(store: Store) -> None:
    wild = "\N{OLD ITALIC LETTER A}" * 9000
    tell(
        store,
        a_deletion("", path="nobody can tell it from another"),
        a_deletion("x" * 201),
        a_deletion("d-ok", path=wild, actor=wild, reason=wild, path_class=wild, lease=wild, evidence=(wild,) * 99),
        a_deletion("d-naive", at=datetime(2026, 1, 1)),
        a_deletion("d-far", at=datetime.max.replace(tzinfo=START.tzinfo), bytes=2**63 - 1),
    )
    found = {each.id: each for each in kept(store)}
    assert sorted(found) == ["d-far", "d-naive", "d-ok"]
    assert found["d-naive"].at == START
    assert (len(found["d-ok"].path), len(found["d-ok"].evidence)) == (4096, 20)


def test_many_at_once(store: Store) -> None:
    assert tell(store, *(a_deletion(f"d-{n}") for n in range(1700))) == {"dead": 1700}
    assert tell(store, *(a_deletion(f"d-{n}") for n in range(1701))) == {"dead": 1}
