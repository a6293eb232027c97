"""Incidents of disks through the loop: opened once, caused by one another, closed by what hosts tell (R52)."""

import asyncio
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from andon.loops.incidents import KeepIncidents
from andon.model.disk import Deletion, DiskLevel, DiskReport, Pinned
from andon.model.incident_kinds import KINDS, IncidentCode
from andon.model.nouns import Incident
from andon.store import hosts, incidents
from andon.store.apply_sync import apply_report
from andon.store.schema import journal
from andon.store.transaction import Store, Tx
from tests.support.builders import a_report, idle
from tests.support.running import read, rows, write

GIB = 2**30


def tell(store: Store, level: DiskLevel, **changes: Any) -> None:
    disk = DiskReport(mount="/data", total=100 * GIB, free=3 * GIB, level=level, slots=(0,), **changes)
    report(store, disk=(disk,))


def report(store: Store, **changes: Any) -> None:
    def work(tx: Tx) -> None:
        known = hosts.get_host(tx.connection, "host-a")
        assert known is not None
        apply_report(tx, known, a_report((idle(0),), seq=known.seq + 1, **changes), {})

    write(store, work)


class Watch:
    """The loop, and the host that goes on reporting."""

    def __init__(self, store: Store, clock: Any, fleet: Any) -> None:
        fleet.github = _NobodyAsked()
        self.store, self.clock, self.loop = store, clock, KeepIncidents(fleet)
        write(store, lambda tx: hosts.enrol(tx, "host-a", "aht_x"))

    def look(self, seconds: float = 0, *, heard: bool = True) -> dict[IncidentCode, Incident]:
        for _ in range(max(1, int(seconds // 5))):
            self.clock.advance(5 if seconds else 0)
            if heard:
                report(self.store)
            asyncio.run(self.loop.run_once())
        return {each.code: each for each in read(self.store, incidents.live)}


class _NobodyAsked:
    def health(self) -> Any:
        from andon.rules.liveness_fleet import ApiFact

        return ApiFact(answered_at=None, failing_since=None)


def test_a_disk_that_is_short_and_stays_so_and_has_room_again(store: Store, clock: Any, play_fleet: Any) -> None:
    watch = Watch(store, clock, play_fleet)
    tell(store, DiskLevel.HARD, admits=False, pinned=(Pinned(path="/data/x", by="job 7 runs", bytes=80 * GIB),))
    found = watch.look()
    assert set(found) == {IncidentCode.DISK_HARD}
    assert found[IncidentCode.DISK_HARD].subject_id == "host-a:/data"
    found = watch.look(600)
    assert set(found) == {IncidentCode.DISK_HARD, IncidentCode.DISK_PINNED}
    assert found[IncidentCode.DISK_PINNED].caused_by == found[IncidentCode.DISK_HARD].id
    (line,) = rows(store, select(journal).where(journal.c.kind == "incident.opened", journal.c.reason.like("Nothing%")))
    assert line["host"] == "host-a", "it stands on the host's page"
    assert line["evidence"]["pinned"] == [{"path": "/data/x", "bytes": 80 * GIB, "by": "job 7 runs"}]
    tell(store, DiskLevel.SOFT)
    assert {each.state.value for each in watch.look(5).values()} == {"easing"}
    tell(store, DiskLevel.HARD, admits=False)
    assert watch.look(5)[IncidentCode.DISK_HARD].state.value == "open", "it came back: the same incident"
    tell(store, DiskLevel.OK)
    longest = max(KINDS[code].quiet for code in (IncidentCode.DISK_HARD, IncidentCode.DISK_PINNED))
    assert watch.look(longest.total_seconds() + 10) == {}


def test_what_eases_does_not_close_while_its_host_is_silent(store: Store, clock: Any, play_fleet: Any) -> None:
    watch = Watch(store, clock, play_fleet)
    tell(store, DiskLevel.HARD, admits=False)
    watch.look()
    tell(store, DiskLevel.OK)
    assert watch.look(5)[IncidentCode.DISK_HARD].state.value == "easing"
    write(store, lambda tx: hosts.fall_silent(tx, tx.now + timedelta(seconds=1)))
    assert watch.look(1200, heard=False)[IncidentCode.DISK_HARD].state.value == "easing", "nobody could look"
    assert IncidentCode.DISK_HARD not in watch.look(5)


def test_a_foreign_deletion_is_over_after_an_hour_without_another(store: Store, clock: Any, play_fleet: Any) -> None:
    watch = Watch(store, clock, play_fleet)
    gone = Deletion(
        id="d-1",
        at=clock.now(),
        path="/a/runs/0/x",
        path_class="live",
        actor="foreign",
        reason="its lease was held",
        evidence=("process 77 (prune.sh) touched it",),
    )
    report(store, deletions=(gone,))
    found = watch.look()
    assert set(found) == {IncidentCode.GUARD_FOREIGN}
    (line,) = rows(store, select(journal).where(journal.c.kind == "incident.opened"))
    assert line["evidence"]["deletions"][0]["candidates"] == ["process 77 (prune.sh) touched it"]
    report(store, deletions=(gone,))
    watch.look(timedelta(minutes=59).total_seconds())
    assert read(store, incidents.live)[0].state.value == "open"
    watch.look(timedelta(minutes=2).total_seconds())
    assert read(store, incidents.live)[0].state.value == "easing"
    assert len(rows(store, select(journal).where(journal.c.kind == "incident.opened"))) == 1
