"""What hosts tell of their filesystems is kept as told, thinly over time, and never breaks a sync (R52)."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from andon.model.disk import ClassTotal, DiskLevel, DiskReport, GuardPass, PathClass, Pinned
from andon.model.nouns import Host, KeptDisk
from andon.model.wire import SyncRequest
from andon.store import disks, enrolments, hosts
from andon.store.apply_sync import apply_report
from andon.store.schema import disk_samples, workspaces
from andon.store.schema import hosts as hosts_table
from andon.store.transaction import Store, Tx
from tests.support.builders import START, a_report, at
from tests.support.running import read, rows, write

GIB = 2**30
LARGEST = 2**63 - 1


@pytest.fixture(autouse=True)
def host(store: Store) -> None:
    write(store, lambda tx: hosts.enrol(tx, "host-a", "aht_x"))


def a_disk(mount: str = "/data", **changes: Any) -> DiskReport:
    given: dict[str, Any] = {"mount": mount, "total": 100 * GIB, "free": 60 * GIB, "floor": 5 * GIB}
    return DiskReport(**{**given, **changes})


def tell(store: Store, *told: DiskReport, host: str = "host-a", **changes: Any) -> set[str]:
    """Gives what was woken."""
    given: dict[str, Any] = {"disk": told, "host": host, **changes}

    def work(tx: Tx) -> set[str]:
        apply_report(tx, the_host(tx.connection, host), a_report(**given), {})
        return set(tx.nudges)

    return write(store, work)


def the_host(connection: Connection, name: str = "host-a") -> Host:
    found = hosts.get_host(connection, name)
    assert found is not None
    return found


def kept(store: Store) -> dict[str, KeptDisk]:
    return {each.mount: each for each in read(store, disks.all_disks)}


def test_a_list_replaces_what_was_known_and_no_list_changes_nothing(store: Store) -> None:
    tell(store, a_disk(), a_disk("/"))
    tell(store, disk=None, seq=2)
    assert sorted(kept(store)) == ["/", "/data"]
    assert read(store, the_host).disks == 2
    tell(store, a_disk(free=GIB), seq=3)
    (left,) = kept(store).values()
    assert (left.mount, left.free) == ("/data", GIB)
    tell(store, seq=4)
    assert kept(store) == {} and read(store, the_host).disks == 0


def test_everything_that_is_told_comes_back(store: Store) -> None:
    told = a_disk(
        inodes=7,
        inodes_free=3,
        level=DiskLevel.EMERGENCY,
        admits=False,
        full_in_s=61.5,
        slots=(0, 2),
        classes=(ClassTotal(path_class=PathClass.LIVE, bytes=5, count=1), ClassTotal(path_class=PathClass.UNKNOWN)),
        pinned=(Pinned(path="/data/x", by="process 7 works in it", bytes=9, lease="l-1"),),
        passes=(GuardPass(at=START, level=DiskLevel.HARD, removed=2, freed=-4),),
    )
    tell(store, told)
    (found,) = kept(store).values()
    for name in DiskReport.__struct_fields__:
        if name not in ("reserved", "full_in_s"):
            assert getattr(found, name) == getattr(told, name), name
    assert found.full_in_s == 61
    assert (found.told_at, found.level_since, found.short_since) == (START, START, START)


def test_since_when_it_is_short_outlasts_the_step_from_hard_to_emergency(store: Store, clock: Any) -> None:
    tell(store, a_disk(level=DiskLevel.HARD))
    clock.advance(60)
    tell(store, a_disk(level=DiskLevel.EMERGENCY), seq=2)
    (found,) = kept(store).values()
    assert (found.level_since, found.short_since) == (at(60), START)
    tell(store, a_disk(level=DiskLevel.UNKNOWN), seq=3)
    assert kept(store)["/data"].short_since == START, "a level that nobody knows here ends nothing"
    tell(store, a_disk(level=DiskLevel.SOFT), seq=4)
    assert kept(store)["/data"].short_since is None


def test_an_agent_that_starts_anew_and_tells_of_none_is_asked_for_no_room(store: Store) -> None:
    """An older version of the agent does not know the section: what a newer one said is no news of now (law 4)."""
    tell(store, a_disk())
    tell(store, disk=None, seq=2, agent_version="0.9")
    assert kept(store) == {}
    tell(store, a_disk(), seq=3, agent_version="0.9")
    tell(store, disk=None, seq=4, agent_version="0.9", boot_id="boot-2")
    assert kept(store) == {}


def test_one_sample_in_ten_minutes_is_kept_with_what_was_measured(store: Store, clock: Any) -> None:
    classes = (ClassTotal(path_class=PathClass.DEAD, bytes=4), ClassTotal(path_class=PathClass.CACHE))
    for seq in range(1, 62):
        tell(store, a_disk(free=seq, classes=classes), seq=seq)
        clock.advance(60)
    found = read(store, lambda c: disks.samples(c, "host-a", START))["/data"]
    assert [each.at for each in found] == [at(minutes * 60) for minutes in range(0, 61, 10)]
    assert [each.free for each in found] == [1, 11, 21, 31, 41, 51, 61]
    assert {json.dumps(each.classes) for each in found} == {'{"dead": 4}'}
    assert read(store, lambda c: disks.samples(c, "host-a", at(1000)))["/data"][0].at == at(1200)
    assert read(store, lambda c: disks.samples(c, "host-b", START)) == {}


def test_a_clock_that_was_set_back_does_not_end_the_samples(store: Store, clock: Any) -> None:
    tell(store, a_disk())

    def turn_back(tx: Tx) -> None:
        tx.now = START - timedelta(days=365)
        disks.save(tx, the_host(tx.connection), [a_disk()], new_start=False)

    write(store, turn_back)
    assert rows(store, select(func.count().label("n")).select_from(disk_samples))[0]["n"] == 2


def test_numbers_and_texts_at_their_limits(store: Store) -> None:
    huge = a_disk(
        "/huge",
        total=LARGEST,
        free=LARGEST,
        inodes=LARGEST,
        inodes_free=LARGEST,
        floor=LARGEST,
        full_in_s=1e300,
        slots=tuple(range(5000)),
        pinned=tuple(Pinned(path="\N{OLD ITALIC LETTER A}" * 9000, by="b" * 9000) for _ in range(500)),
        classes=tuple(ClassTotal(path_class=PathClass.LIVE, bytes=LARGEST, count=LARGEST) for _ in range(100)),
        passes=tuple(GuardPass(at=START.replace(tzinfo=None), level=DiskLevel.OK, freed=-(2**63)) for _ in range(99)),
    )
    wide = "/" + "\N{OLD ITALIC LETTER A}" * 499
    tell(store, huge, a_disk("/" + "x" * 500), a_disk(""), a_disk(wide))
    found = kept(store)
    assert sorted(found) == sorted(["/huge", wide]), "a mount that is longer is left out, the sync goes on"
    one = found["/huge"]
    assert (one.total, one.floor, one.full_in_s) == (LARGEST, LARGEST, None)
    assert (len(one.pinned), len(one.passes), len(one.classes), len(one.slots)) == (50, 20, 1, 1000)
    tell(store, *(a_disk(f"/{n}") for n in range(1000)), seq=2)
    assert len(kept(store)) == 64


@pytest.mark.parametrize(
    "section",
    [
        {"mount": "/", "total": 2**63, "free": 0},
        {"mount": "/", "total": -1, "free": 0},
        {"mount": "/", "total": 1, "free": 0, "slots": [2**63]},
        {"mount": "/", "total": 1, "free": 0, "classes": [{"class": "live", "bytes": 2**63}]},
        {
            "mount": "/",
            "total": 1,
            "free": 0,
            "passes": [{"at": "2026-01-01T00:00:00Z", "level": "ok", "freed": 2**63}],
        },
    ],
)
def test_a_number_that_no_database_keeps_is_refused_where_it_is_read(section: dict[str, Any]) -> None:
    body = json.dumps({"host": "h", "boot_id": "b", "seq": 1, "agent_version": "1", "disk": [section]})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=SyncRequest)


def test_what_can_change_a_decision_wakes_dispatch(store: Store) -> None:
    assert "dispatch" in tell(store, a_disk())
    assert "dispatch" not in tell(store, a_disk(free=59 * GIB), seq=2)
    assert "dispatch" in tell(store, a_disk(free=60 * GIB), seq=3), "a job may wait for just this"
    assert "dispatch" in tell(store, a_disk(free=60 * GIB, floor=GIB), seq=4)
    assert "pages" not in tell(store, a_disk(free=60 * GIB, floor=GIB), seq=5)
    assert {"dispatch", "pages"} <= tell(store, a_disk(level=DiskLevel.HARD, admits=False), seq=6)


def test_a_host_that_was_taken_away_is_forgotten_with_its_filesystems(store: Store) -> None:
    tell(store, a_disk())
    write(store, lambda tx: enrolments.remove(tx, "host-a", reason="gone"))
    assert kept(store) == {}


def test_hosts_without_filesystems_cost_nothing(store: Store) -> None:
    """No row is written, and no statement asked, for an agent that tells of none."""

    def work(tx: Tx) -> None:
        disks.save(_Deaf(), the_host(tx.connection), None, new_start=True)  # type: ignore[arg-type]
        disks.save(_Deaf(), the_host(tx.connection), (), new_start=True)  # type: ignore[arg-type]

    write(store, work)
    assert rows(store, select(hosts_table.c.disk, hosts_table.c.disks)) == [{"disk": [], "disks": 0}]
    assert rows(store, select(workspaces)) == []


class _Deaf:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")
