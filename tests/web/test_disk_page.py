"""`/disk` and the disks of a host's page: room, forecast, what fills it over time, what is in use, what went (R52)."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.model.disk import DiskLevel, DiskReport
from andon.model.incident_kinds import IncidentCode
from andon.rules.disk_incidents import disk_findings
from andon.store import fleet_views, incidents
from andon.store.disk_facts import disk_situation
from andon.store.disk_views import mount_of
from andon.store.disks import Sample
from andon.web.disk_picture import GAP, MOST_POINTS, ORDER, bar, parts, picture
from tests.support.builders import START, at
from tests.support.running import read
from tests.web.page_fleet import PageFleet, fill_disks
from tests.web.test_pages import HOSTILE, Parsed, words_of

GIB = 2**30


def a_sample(seconds: float = 0, **changes: Any) -> Sample:
    given: dict[str, Any] = {"at": at(seconds), "mount": "/", "total": 100, "free": 60, "classes": {"live": 10}}
    return Sample(**{**given, **changes})


def test_an_empty_fleet_says_what_tells_of_disks(fleet: PageFleet) -> None:
    answer = fleet.get("/disk")
    assert answer.status_code == 200
    assert "No host tells of a filesystem yet." in words_of(answer.text)
    fleet.host("host-a")
    assert "Disks" not in words_of(fleet.get("/hosts/host-a").text).partition("Slots")[2]


def test_the_page_says_room_forecast_classes_pinned_passes_and_deletions(fleet: PageFleet) -> None:
    fill_disks(fleet)
    for path in ("/disk", "/hosts/host-a"):
        text = words_of(fleet.get(path).text)
        assert "44.4 GiB free of 916.0 GiB" in text and "20.0 GiB stay free" in text
        assert "Full in 1 h 30 min at the rate of the last minutes." in text
        assert "no job begins here" in text and "52 % of its inodes are free" in text
        assert "bases 90.0 GiB" in text and "of a class of newer agents: 2, not measured yet" in text
        assert "/srv/andon/runs/0/7-1-build-k3" in text and "process 4711 (cargo) works in it" in text
        assert "3.0 GiB less than before" in text and "41.0 GiB" in text
        for words in ("foreign", "its lease was held", "process 815 (prune-targets.sh) had it open"):
            assert words in text, words
        assert "nothing was told in the gaps" in text or path != "/disk"
        assert "94 % hits of 1,960 look-ups" in text and "in the last 6 h 00 min" in text
        assert "1 % hits of 816 look-ups" in text and "full, and of little use" in text
        assert "not told yet" in text and "no job uses it" in text and "not found on this host" in text
    assert "host-b" not in words_of(fleet.get("/hosts/host-a").text)


def test_the_picture_says_in_words_what_it_shows(fleet: PageFleet) -> None:
    fill_disks(fleet, days=0.2)
    parsed = Parsed(fleet.get("/hosts/host-a").text)
    titled = {str(each["id"]) for each in parsed.all("title") if each.get("id")}
    pictures = [each for each in parsed.all("svg") if each.get("role") == "img"]
    assert len(pictures) == 4, "a bar and a course of each of its two filesystems"
    assert all(each.get("aria-labelledby") in titled for each in pictures)
    assert {str(each["class"]) for each in parsed.all("polygon")} >= {"rest", "live", "dead", "base", "free"}
    assert len(parsed.ids()) == len(set(parsed.ids()))


def test_hostile_words_of_a_host_stay_words(fleet: PageFleet) -> None:
    fill_disks(fleet, days=0.1, text=HOSTILE)
    fleet.report(
        "host-b", disk=(DiskReport(mount=f"/{HOSTILE}", total=0, free=0), DiskReport(mount="/x", total=1, free=9))
    )
    for path in ("/disk", "/hosts/host-a", "/hosts/host-b"):
        answer = fleet.get(path)
        assert answer.status_code == 200
        parsed = Parsed(answer.text)
        assert not [each for each in parsed.all("script") if not each.get("src")] and not parsed.all("img")
        assert "\x1b" not in answer.text and "49" not in words_of(answer.text).partition("{{7*7}}")[0][-3:]


def test_a_silent_hosts_numbers_are_told_as_old_ones(fleet: PageFleet) -> None:
    fill_disks(fleet, days=0.1)
    fleet.clock.advance(60)
    fleet.fall_silent("host-a")
    assert "as it was told last: its host is silent" in words_of(fleet.get("/disk").text)


def test_parts_never_say_more_than_is_used() -> None:
    sample = a_sample(classes={"live": 30, "dead": 30, "cache": 5, "moonbase": 7})
    found = parts(sample)
    assert sum(found.values()) == sample.total
    assert found["cache"] == 5 and found["dead"] + found["live"] == 35 and found["rest"] == 0


@given(
    st.lists(
        st.builds(
            lambda after, total, free, classes: (after, total, free, classes),
            st.integers(1, 90_000),
            st.integers(0, 2**63 - 1),
            st.integers(0, 2**63 - 1),
            st.dictionaries(st.sampled_from(ORDER[1:]), st.integers(0, 2**63 - 1)),
        ),
        max_size=30,
    )
)
def test_whatever_was_told_the_picture_stays_in_its_frame(told: list[tuple[int, int, int, dict[str, int]]]) -> None:
    now, samples = START, list[Sample]()
    for after, total, free, classes in told:
        now += timedelta(seconds=after)
        samples.append(Sample(at=now, mount="/", total=total, free=free, classes=classes))
    found = picture(samples)
    assert (found is None) == (len(samples) < 2)
    for area in found.areas if found else ():
        for point in area.points.split():
            x, y = (float(each) for each in point.split(","))
            assert 0 <= x <= 1000 and 0 <= y <= 200
    for sample in samples:
        assert sum(each.width for each in bar(sample)) <= 1000.1


def test_no_line_is_drawn_over_a_time_that_nobody_knows() -> None:
    steady = [a_sample(600 * n) for n in range(20)]
    later = [a_sample(600 * n + 4 * GAP.total_seconds()) for n in range(20, 40)]
    known, broken = picture([*steady, a_sample(12_000)]), picture([*steady, *later])
    assert known is not None and not known.gaps
    assert broken is not None and broken.gaps
    assert len(broken.areas) == 2 * len(known.areas)


def test_many_samples_are_thinned_and_the_least_room_is_kept() -> None:
    samples = [a_sample(600 * n, free=60 if n != 777 else 1) for n in range(2016)]
    found = picture(samples)
    assert found is not None and found.least_free.free == 1
    widest = max(found.areas, key=lambda each: len(each.points))
    assert len(widest.points.split()) <= 2 * (MOST_POINTS + 1)
    live = next(each for each in found.areas if each.kind == "live")
    assert min(float(point.split(",")[1]) for point in live.points.split()) == 2.0, "the moment without room is seen"


@pytest.mark.parametrize(
    ("path", "mount"),
    [("/srv/a/x", "/srv/a"), ("/srv/ab", "/"), ("/srv/a", "/srv/a"), ("/", "/"), ("relative", "")],
)
def test_a_deletion_belongs_to_the_nearest_mount_above_it(path: str, mount: str) -> None:
    assert mount_of(path, ["/", "/srv/a"]) == mount


def test_an_open_page_follows_levels_at_once_and_numbers_with_each_sample(fleet: PageFleet) -> None:
    def mark() -> str:
        return read(fleet.store, fleet_views.change_mark)

    fleet.host("host-a", disk=(DiskReport(mount="/", total=9, free=8),))
    before = mark()
    fleet.clock.advance(60)
    fleet.report("host-a", disk=(DiskReport(mount="/", total=9, free=7),))
    assert mark() == before
    fleet.report("host-a", disk=(DiskReport(mount="/", total=9, free=7, level=DiskLevel.SOFT),))
    assert mark() != before
    before = mark()
    fleet.clock.advance(600)
    fleet.report("host-a", disk=(DiskReport(mount="/", total=9, free=6, level=DiskLevel.SOFT),))
    assert mark() != before


def test_the_board_tells_a_short_disk_once(fleet: PageFleet) -> None:
    fill_disks(fleet, days=0.3)
    fleet.report("host-a", disk=(DiskReport(mount="/data", total=100 * GIB, free=GIB, level=DiskLevel.HARD),))
    assert "Disk on host-a is at the hard limit." in words_of(fleet.get("/").text)
    situation = read(fleet.store, lambda connection: disk_situation(connection, fleet.clock.now()))
    (found,) = (each for each in disk_findings(situation) if each.code is IncidentCode.DISK_HARD)
    fleet.do(lambda tx: incidents.open_once(tx, found, caused_by=None))
    text = words_of(fleet.get("/").text)
    assert "/data of host host-a is below its hard mark: 1.0 GiB of 100.0 GiB are free" in text
    assert "is at the hard limit" not in text
    assert "/data of host host-a" in words_of(fleet.get("/hosts/host-a").text), "and on the host's page"
    assert "/data of host host-a" not in words_of(fleet.get("/hosts/host-b").text)
