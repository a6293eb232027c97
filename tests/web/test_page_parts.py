"""The pure parts of the pages: where time went, durations, shown text, words of the journal."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.model.job_states import JobStatus
from andon.model.journal import Entry, Line
from andon.model.nouns import Job
from andon.rules.size_words import size
from andon.web.durations import duration
from andon.web.job_page import github_url
from andon.web.shown_text import log_text, shown
from andon.web.story_words import actor, evidence, words
from andon.web.time_spent import bars, time_spent

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def a_job(**changes: object) -> Job:
    fields: dict[str, object] = {
        "id": 1,
        "repository": "acme/app",
        "owner": "acme",
        "run_id": 2,
        "attempt": 1,
        "name": "test",
        "workflow": "ci",
        "branch": "main",
        "sha": "a" * 40,
        "labels": ("linux",),
        "pool": "linux",
        "status": JobStatus.QUEUED,
        "conclusion": None,
        "created_at": START,
        "queued_at": START,
        "started_at": None,
        "completed_at": None,
        "runner_id": None,
        "runner_name": None,
        "order_at": None,
        "observed_at": START,
    }
    return Job(**{**fields, **changes})  # type: ignore[arg-type]


def line(seconds: float, kind: str, **changes: object) -> Line:
    fields: dict[str, object] = {
        "actor": "github",
        "kind": kind,
        "subject_kind": "job",
        "subject_id": "1",
        "reason": "so it is",
    }
    return Line(id=f"jrn_{seconds}", at=at(seconds), entry=Entry(**{**fields, **changes}))  # type: ignore[arg-type]


def spent(job: Job, story: list[Line], now: float) -> list[tuple[str, float]]:
    return [(span.kind, span.seconds) for span in time_spent(job, story, at(now))]


DONE = {
    "status": JobStatus.COMPLETED,
    "started_at": at(20),
    "completed_at": at(80),
    "runner_name": "r",
    "conclusion": "success",
}


def test_a_job_that_ran() -> None:
    story = [line(1, "job.queued"), line(12, "claim.reserved"), line(15, "claim.minted"), line(21, "job.in_progress")]
    assert spent(a_job(**DONE), story, 500) == [("waiting", 12), ("starting", 8), ("running", 60)]


def test_a_runner_in_doubt_and_a_second_one_are_told_apart() -> None:
    story = [
        line(0, "job.queued"),
        line(2, "claim.reserved"),
        line(8, "claim.orphaned"),
        line(11, "claim.released"),
        line(13, "claim.reserved"),
    ]
    assert spent(a_job(**DONE), story, 500) == [
        ("waiting", 2),
        ("starting", 6),
        ("doubt", 3),
        ("waiting", 2),
        ("starting", 7),
        ("running", 60),
    ]


def test_a_job_behind_a_gate_and_then_queued() -> None:
    job = a_job(queued_at=None, status=JobStatus.WAITING)
    assert spent(job, [line(5, "job.waiting")], 65) == [("held", 60)]
    assert time_spent(job, [line(5, "job.waiting")], at(65))[-1].open


def test_a_job_that_was_cancelled_before_it_ran() -> None:
    job = a_job(status=JobStatus.COMPLETED, started_at=at(9), completed_at=at(10), conclusion="cancelled")
    assert spent(job, [line(0, "job.queued")], 500) == [("waiting", 10)]


kinds = st.sampled_from(["job.queued", "job.waiting", "claim.reserved", "claim.orphaned", "claim.released", "other.x"])


@given(
    moments=st.lists(st.tuples(st.floats(0, 1000), kinds), max_size=12),
    started=st.none() | st.integers(-5, 900),
    ended=st.none() | st.integers(-5, 1200),
    named=st.booleans(),
)
def test_stretches_have_no_gaps_and_never_go_back(
    moments: list[tuple[float, str]], started: int | None, ended: int | None, named: bool
) -> None:
    status = JobStatus.COMPLETED if ended is not None else JobStatus.IN_PROGRESS if started else JobStatus.QUEUED
    job = a_job(
        status=status,
        started_at=None if started is None else at(started),
        completed_at=None if ended is None else at(ended),
        runner_name="r" if named else None,
    )
    story = [line(seconds, kind) for seconds, kind in sorted(moments)]
    spans = time_spent(job, story, at(1000))
    assert all(span.seconds >= 0 for span in spans)
    assert all(one.end == other.start for one, other in pairwise(spans))
    drawn = bars(spans)
    assert all(bar.width > 0 for bar in drawn)
    assert not drawn or abs(sum(bar.width for bar in drawn) - 1000) < 0.1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (3840, "1 h 04 min"), (183600, "2 d 3 h")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_sizes() -> None:
    assert [size(n) for n in (0, 1023, 5 * 2**30, 3 * 2**41)] == ["0 B", "1023 B", "5.0 GiB", "6.0 TiB"]
    assert [size(n) for n in (None, "x", True, -1)] == ["unknown"] * 4


@given(st.text(max_size=300))
def test_shown_text_has_nothing_that_hides_or_turns(text: str) -> None:
    for found in (shown(text), shown(log_text(text))):
        assert not set(found) & (set(map(chr, [*range(9), *range(11, 32), 0x7F, *range(0x202A, 0x202F)])))


def test_logs_lose_their_colours_and_keep_their_end() -> None:
    assert log_text("\x1b[36;1mRun\x1b[0m\r\nnext\x1b]0;title\x07!") == "Run\nnext!"
    assert log_text("x" * 9000 + "end") == "…" + ("x" * 9000 + "end")[-8192:]


def test_a_line_that_nobody_foresaw_is_told_too() -> None:
    entry = line(0, "moon.has_risen", actor="loop:sky").entry
    assert words(entry) == "Moon 1: has risen."
    assert actor(entry) == "Andon (sky)"
    long = line(0, "job.queued", evidence={"log": "y" * 5000, "list": [1, {"a": None}], "none": None}).entry
    facts = dict(evidence(long))
    assert len(facts["log"]) == 2001 and facts["list"] == '[1,{"a":null}]' and "none" not in facts


def test_the_link_to_github_is_only_made_where_its_place_is_known() -> None:
    job = a_job(repository="acme/a b")
    assert github_url("https://api.github.com", job) == "https://github.com/acme/a%20b/actions/runs/2/job/1"
    assert github_url("https://ghe.example/api/v3/", job) == "https://ghe.example/acme/a%20b/actions/runs/2/job/1"
    assert github_url("http://127.0.0.1:9", job) is None
    assert github_url("javascript:alert(1)/api/v3", job) is None


def test_a_claim_that_was_settled_over_a_living_process_is_not_said_to_have_gone() -> None:
    def settled(process: str) -> str:
        told = Entry(
            actor="loop:claims",
            kind="claim.settled",
            subject_kind="claim",
            subject_id="clm_1",
            reason="r",
            evidence={"process_is": process},
        )
        return words(told)

    assert settled("alive") == (
        "The job was over and the runner's process lived on: it is ended, and the slot becomes free."
    )
    assert settled("gone") == "The runner served its job and is gone; the slot is free again."
