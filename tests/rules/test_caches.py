"""When a compile cache is too small, what a job is told of it, and how its look-ups are counted (R55, P7)."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.model.caches import CacheReport
from andon.rules.cache_health import is_thrashing, is_well_again
from andon.rules.cache_incidents import cache_cleared, cache_findings
from andon.rules.cache_window import WINDOW_S, Lookups, LookupWindow
from andon.rules.cache_words import asked_bytes, refusals
from andon.rules.disk_incidents import DiskSituation
from tests.rules.test_disk_incidents import a_disk

GIB = 2**30
P7 = CacheReport(
    program="sccache", owner="acme", user="runner", cap=10 * GIB, size=10 * GIB, hits=5, misses=811, window_s=21600
)


def situation(*caches: CacheReport, reporting: bool = True, known: bool = True) -> DiskSituation:
    hosts = frozenset({"host-a"})
    return DiskSituation(
        now=datetime(2026, 11, 24, tzinfo=UTC),
        disks=[a_disk(caches=caches)],
        reporting=hosts if reporting else frozenset(),
        known=hosts if known else frozenset(),
    )


def test_p7_as_it_was_opens_an_incident_with_both_numbers() -> None:
    (found,) = cache_findings(situation(P7))
    assert found.code.value == "cache.thrashing" and found.subject_id == "host-a:sccache/acme/runner"
    assert "10.0 GiB of 10.0 GiB" in found.title and "1 % hits of 816 look-ups in 6 h" in found.title


@pytest.mark.parametrize(
    "changes",
    [
        {"hits": 400, "misses": 416},
        {"size": 9 * GIB},
        {"size": None},
        {"hits": 0, "misses": 99},
    ],
    ids=["it is hit", "it has room", "nobody knows what it holds", "too few look-ups"],
)
def test_each_number_alone_says_nothing(changes: dict[str, int | None]) -> None:
    assert not is_thrashing(msgspec.structs.replace(P7, **changes))


def test_between_the_bounds_it_stays_as_it_is() -> None:
    for between in ({"hits": 320, "misses": 496}, {"size": 9 * GIB}, {"hits": 5, "misses": 5}):
        cache = msgspec.structs.replace(P7, **between)
        assert not is_thrashing(cache) and not is_well_again(cache)
        assert cache_cleared("host-a:sccache/acme/runner", situation(cache)) is None


def test_what_shows_that_it_is_over() -> None:
    subject = "host-a:sccache/acme/runner"
    grown = msgspec.structs.replace(P7, cap=20 * GIB)
    assert "10.0 GiB of 20.0 GiB" in (cache_cleared(subject, situation(grown)) or "")
    hit = msgspec.structs.replace(P7, hits=600, misses=216)
    assert "74 % hits" in (cache_cleared(subject, situation(hit)) or "")
    assert cache_cleared(subject, situation()) == "the host tells of this cache no more"
    assert cache_cleared(subject, situation(known=False)) == "the host was taken away"
    assert cache_cleared(subject, situation(reporting=False)) is None and not cache_findings(
        situation(P7, reporting=False)
    )


@given(
    st.lists(
        st.tuples(st.floats(0, 4000), st.integers(0, 50), st.integers(0, 50), st.booleans()), min_size=1, max_size=60
    )
)
def test_the_window_holds_what_was_asked_in_it_through_every_restart(
    steps: list[tuple[float, int, int, bool]],
) -> None:
    now, counted, window, seen = 0.0, Lookups(), LookupWindow(since=0.0), list[tuple[float, int, int]]()
    for pause, hits, misses, restarts in steps:
        now += pause
        if restarts:
            # A server that had counted nothing before its end may look like one that goes on.
            counted = Lookups()
            window = window.read(now, counted)
        counted = Lookups(hits=counted.hits + hits, misses=counted.misses + misses)
        window = window.read(now, counted)
        seen.append((now, hits, misses))
    total = window.total()
    young = [each for each in seen if each[0] > now - WINDOW_S]
    old = [each for each in seen if each[0] > now - WINDOW_S - 300]
    for number, name in ((1, "hits"), (2, "misses")):
        assert sum(each[number] for each in young) - 100 <= getattr(total, name) <= sum(each[number] for each in old)
    assert window.seconds(now) <= WINDOW_S


@pytest.mark.parametrize(
    ("text", "bytes_"), [("10G", 10 * GIB), ("1K", 1024), ("512", 512), (" 2 T ", 2 * 2**40), ("10 GiB", None)]
)
def test_sizes_as_sccache_reads_them(text: str, bytes_: int | None) -> None:
    assert asked_bytes(text) == bytes_


def test_the_same_cap_is_no_refusal_and_odd_text_is_shown_clean() -> None:
    assert refusals({"SCCACHE_CACHE_SIZE": "10G"}, 10 * GIB) == ()
    (said,) = refusals({"SCCACHE_CACHE_SIZE": "1\n::error::x"}, 10 * GIB)
    assert "\n" not in said
