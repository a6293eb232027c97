"""Who is ended for the room of others: only who is over its budget, beside one that is not, when room is short."""

from hypothesis import given
from hypothesis import strategies as st

from andon.model.config import Disk
from andon.rules.disk_budget import LiveJob, is_near, overrun
from andon.rules.disk_marks import GIB, Room

MARKS = Disk()
TOTAL = 1000 * GIB
EMERGENCY = 20 * GIB
HOG = LiveJob(id="hog", written=90 * GIB, expected=40 * GIB)
OTHER = LiveJob(id="other", written=10 * GIB, expected=47 * GIB)


def room(free: int) -> Room:
    return Room(total=TOTAL, free=free)


def test_the_one_that_is_over_goes_when_the_others_promise_is_not_free_any_more() -> None:
    enough = 37 * GIB + EMERGENCY
    assert overrun(room(enough), (HOG, OTHER), 0, MARKS) is None
    found = overrun(room(enough - 1), (HOG, OTHER), 0, MARKS)
    assert found is not None
    assert (found.id, found.written, found.budget, found.promised) == ("hog", 90 * GIB, 80 * GIB, 37 * GIB)


def test_what_is_written_until_an_end_helps_is_kept_above_the_promise() -> None:
    free = 37 * GIB + EMERGENCY + 5 * GIB
    assert overrun(room(free), (HOG, OTHER), EMERGENCY + 5 * GIB, MARKS) is None
    assert overrun(room(free), (HOG, OTHER), EMERGENCY + 6 * GIB, MARKS) is not None


def test_nobody_beside_it_nobody_is_ended() -> None:
    assert overrun(room(0), (HOG,), 0, MARKS) is None
    both = (HOG, LiveJob(id="second", written=200 * GIB, expected=40 * GIB))
    assert overrun(room(0), both, 0, MARKS) is None, "nobody there keeps a budget"


def test_a_job_whose_kind_is_not_known_is_never_ended_but_counts_as_one_beside() -> None:
    unknown = LiveJob(id="unknown", written=500 * GIB)
    assert overrun(room(0), (unknown, OTHER), 0, MARKS) is None
    found = overrun(room(0), (unknown, HOG), 0, MARKS)
    assert found is not None and found.id == "hog"


def test_twice_its_kind_is_no_overrun_and_a_small_kind_has_a_gib() -> None:
    twice = LiveJob(id="hog", written=80 * GIB, expected=40 * GIB)
    assert overrun(room(0), (twice, OTHER), 0, MARKS) is None
    small = LiveJob(id="small", written=GIB, expected=1 << 20)
    assert overrun(room(0), (small, OTHER), 0, MARKS) is None
    on_a_small_disk = LiveJob(id="small", written=200 << 20, expected=1 << 20)
    found = overrun(Room(total=10 * GIB, free=0), (on_a_small_disk, OTHER), 0, MARKS)
    assert found is not None and found.budget == 10 * GIB // 100


jobs = st.builds(
    LiveJob,
    id=st.text(min_size=1, max_size=3),
    written=st.integers(0, 200 * GIB),
    expected=st.none() | st.integers(0, 100 * GIB),
)


@given(st.lists(jobs, max_size=6, unique_by=lambda job: job.id), st.integers(0, TOTAL), st.integers(0, 50 * GIB))
def test_whoever_is_ended_is_over_and_was_worth_measuring(live: list[LiveJob], free: int, soon: int) -> None:
    found = overrun(room(free), live, soon, MARKS)
    if found is None:
        return
    one = next(job for job in live if job.id == found.id)
    assert one.expected is not None and one.written > 2 * one.expected and one.written > GIB
    assert any(not job.is_over(TOTAL) for job in live)
    # By what was measured last the others were promised no less.
    assert is_near(room(free), live, soon, MARKS)
