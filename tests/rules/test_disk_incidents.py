"""Disks that are short, pinned or hold what nobody knows, and foreign deleters, open incidents and close them (R52)."""

from datetime import timedelta
from typing import Any

import pytest

from andon.model.disk import ClassTotal, DiskLevel, GuardPass, PathClass, Pinned
from andon.model.incident_kinds import IncidentCode
from andon.model.nouns import KeptDisk
from andon.rules.disk_incidents import (
    CODES,
    PINNED_AFTER,
    DiskSituation,
    Foreign,
    disk_cleared,
    disk_findings,
    subject_of,
)
from tests.support.builders import START, at

GIB = 2**30
HARD, PINNED, UNKNOWN, FOREIGN = (
    IncidentCode.DISK_HARD,
    IncidentCode.DISK_PINNED,
    IncidentCode.DISK_UNCLASSIFIED,
    IncidentCode.GUARD_FOREIGN,
)


def a_disk(**changes: Any) -> KeptDisk:
    given: dict[str, Any] = {
        "host": "host-a",
        "mount": "/data",
        "total": 100 * GIB,
        "free": 60 * GIB,
        "inodes": 0,
        "inodes_free": 0,
        "level": DiskLevel.OK,
        "admits": True,
        "floor": 5 * GIB,
        "full_in_s": None,
        "slots": (0,),
        "classes": (),
        "pinned": (),
        "passes": (),
        "told_at": START,
        "level_since": START,
        "short_since": None,
    }
    if changes.get("level") in (DiskLevel.HARD, DiskLevel.EMERGENCY):
        given |= {"short_since": START, "free": 3 * GIB, "admits": False}
    return KeptDisk(**{**given, **changes})


def situation(*disks: KeptDisk, **changes: Any) -> DiskSituation:
    given: dict[str, Any] = {
        "now": at(60),
        "disks": disks,
        "reporting": frozenset({"host-a"}),
        "known": frozenset({"host-a", "host-b"}),
    }
    return DiskSituation(**{**given, **changes})


def codes(*disks: KeptDisk, **changes: Any) -> list[IncidentCode]:
    return [each.code for each in disk_findings(situation(*disks, **changes))]


def a_pass(freed: int, level: DiskLevel = DiskLevel.HARD) -> GuardPass:
    return GuardPass(at=START, level=level, freed=freed)


@pytest.mark.parametrize("level", DiskLevel)
def test_only_hard_and_worse_is_an_incident_of_its_filesystem(level: DiskLevel) -> None:
    found = disk_findings(situation(a_disk(level=level)))
    assert [each.code for each in found] == ([HARD] if level in (DiskLevel.HARD, DiskLevel.EMERGENCY) else [])
    if found:
        assert (found[0].subject_kind, found[0].subject_id, found[0].hosts) == ("disk", "host-a:/data", ("host-a",))
        assert "3.0 GiB of 100.0 GiB" in found[0].title and level.value in found[0].title


def test_ten_minutes_below_the_mark_and_nothing_can_go() -> None:
    short = a_disk(level=DiskLevel.HARD)
    before = PINNED_AFTER - timedelta(seconds=1)
    assert codes(short, now=START + before) == [HARD]
    assert codes(short, now=START + PINNED_AFTER) == [HARD, PINNED]


def test_two_passes_in_vain_say_the_same_at_once() -> None:
    vain, good = a_pass(GIB - 1), a_pass(GIB)
    assert codes(a_disk(level=DiskLevel.HARD, passes=(vain,))) == [HARD], "what is in the trash goes with the next"
    assert codes(a_disk(level=DiskLevel.HARD, passes=(vain, vain))) == [HARD, PINNED]
    assert codes(a_disk(level=DiskLevel.HARD, passes=(vain, good))) == [HARD]
    earlier = a_pass(0, DiskLevel.SOFT)
    assert codes(a_disk(level=DiskLevel.HARD, passes=(vain, earlier, vain))) == [HARD], "passes of before do not count"
    assert codes(a_disk(level=DiskLevel.SOFT, passes=(vain, vain))) == []


def test_it_says_what_is_pinned_and_by_whom_the_largest_first() -> None:
    pinned = tuple(Pinned(path=f"/data/{n}", by=f"process {n} works in it", bytes=n * GIB) for n in (1, 47, 3))
    _, found = disk_findings(situation(a_disk(level=DiskLevel.HARD, pinned=pinned), now=at(9999)))
    assert found.title == (
        "Nothing on /data of host host-a can go: 3 directories of 51.0 GiB are in use, the largest /data/47"
    )
    named: Any = found.facts["pinned"]
    assert [each["path"] for each in named] == ["/data/47", "/data/3", "/data/1"]
    assert named[0]["by"] == "process 47 works in it"
    _, alone = disk_findings(situation(a_disk(level=DiskLevel.HARD), now=at(9999)))
    assert "names nothing" in alone.title


def unknown(size: int | None) -> KeptDisk:
    return a_disk(classes=(ClassTotal(path_class=PathClass.UNKNOWN, bytes=size, count=1),))


def test_bytes_of_unknown_class_above_their_bound() -> None:
    assert codes(unknown(5 * GIB)) == [] and codes(unknown(5 * GIB + 1)) == [UNKNOWN]
    other = ClassTotal(path_class=PathClass.OTHER, bytes=90 * GIB)
    assert codes(a_disk(classes=(other,))) == [], "what only a newer agent knows is no alarm (R39)"
    small = unknown(GIB - 1)
    assert codes(a_disk(total=GIB, classes=small.classes)) == [], "on small disks a GiB at least"
    subject = subject_of(small)
    assert disk_cleared(UNKNOWN, subject, situation(unknown(4 * GIB + 1))) is None, "over only well below it"
    assert disk_cleared(UNKNOWN, subject, situation(unknown(4 * GIB))) is not None
    assert disk_cleared(UNKNOWN, subject, situation(unknown(None))) is None, "nobody measured it: nothing is shown"


def test_a_silent_host_opens_nothing_and_closes_nothing() -> None:
    short, foreign = a_disk(level=DiskLevel.HARD), Foreign(host="host-a", path="/x", told_at=START, evidence=())
    assert codes(short, reporting=frozenset()) == []
    for code in CODES:
        subject = "host-a" if code is FOREIGN else "host-a:/data"
        assert disk_cleared(code, subject, situation(a_disk(), reporting=frozenset(), foreign=())) is None
        assert disk_cleared(code, subject, situation(a_disk())) is not None
        assert disk_cleared(code, subject, situation(known=frozenset({"host-b"}))) == "the host was taken away"
    assert codes(foreign=(foreign,)) == [FOREIGN]


@pytest.mark.parametrize("code", [HARD, PINNED])
def test_they_close_by_the_level_and_not_by_a_level_that_nobody_knows(code: IncidentCode) -> None:
    subject = "host-a:/data"
    for level in (DiskLevel.HARD, DiskLevel.EMERGENCY, DiskLevel.UNKNOWN):
        assert disk_cleared(code, subject, situation(a_disk(level=level))) is None
    for level in (DiskLevel.OK, DiskLevel.SOFT):
        assert "60.0 GiB of 100.0 GiB" in (disk_cleared(code, subject, situation(a_disk(level=level))) or "")
    assert disk_cleared(code, subject, situation(a_disk(mount="/"))) == "the host tells of this filesystem no more"


def test_a_foreign_deleter_is_one_incident_of_its_host_with_the_candidates() -> None:
    found = disk_findings(
        situation(
            foreign=tuple(
                Foreign(host="host-a", path=f"/a/{n}", told_at=at(n), evidence=("process 7 (rm) touched it",))
                for n in range(2)
            )
        )
    )
    assert [(each.code, each.subject_kind, each.subject_id) for each in found] == [(FOREIGN, "host", "host-a")]
    assert "/a/1" in found[0].title and "1 more" in found[0].title
    named: Any = found[0].facts["deletions"]
    assert named[0]["candidates"] == ["process 7 (rm) touched it"]
