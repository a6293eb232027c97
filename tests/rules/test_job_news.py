"""Every permutation of late, doubled and missing news ends one job in the same state (R3, R9)."""

from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from andon.model.job_states import JOBS, JobStatus
from andon.model.news import JobNews
from andon.model.nouns import Job
from andon.rules.job_news import merge
from tests.support.builders import START, at, job_news


def fold(news: list[JobNews]) -> Job:
    job: Job | None = None
    for each in news:
        job = merge(job, each, owner="acme", pool="linux", now=START).job
    assert job is not None
    return job


def story() -> list[JobNews]:
    """queued, waiting behind a gate, queued again, in progress, completed: as GitHub tells it."""
    ran = {"runner_id": 7, "runner_name": "r7"}
    return [
        job_news(status="queued", order_at=at(1)),
        job_news(status="waiting", order_at=at(2)),
        job_news(status="queued", order_at=at(3)),
        job_news(status="in_progress", order_at=at(5), **ran),
        job_news(status="completed", order_at=at(9), **ran),
    ]


def visible(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in job.__struct_fields__ if name not in ("observed_at",)}


def test_all_permutations_of_the_whole_story_end_alike() -> None:
    expected = visible(fold(story()))
    assert expected["status"] is JobStatus.COMPLETED
    for order in permutations(story()):
        assert visible(fold(list(order))) == expected


@given(st.data())
def test_any_part_of_the_story_in_any_order_with_duplicates_ends_alike(data: st.DataObject) -> None:
    part = data.draw(st.lists(st.sampled_from(story()), min_size=1, max_size=5))
    one = data.draw(st.permutations(part + data.draw(st.lists(st.sampled_from(part), max_size=3))))
    other = data.draw(st.permutations(part))
    left, right = visible(fold(one)), visible(fold(other))
    assert left == right


def test_a_late_queued_never_revives_a_finished_job() -> None:
    job = fold([job_news(status="completed"), job_news(status="queued", order_at=at(100))])
    assert job.status is JobStatus.COMPLETED


def test_straight_from_queued_to_completed() -> None:
    job = fold([job_news(status="queued"), job_news(status="completed", conclusion="cancelled")])
    assert (job.status, job.conclusion, job.runner_name) == (JobStatus.COMPLETED, "cancelled", None)


def test_the_start_time_of_a_waiting_job_is_not_a_start() -> None:
    assert fold([job_news(status="queued")]).started_at is None


def test_queued_against_waiting_without_times_is_asked_at_the_api() -> None:
    job = fold([job_news(status="queued", order_at=None)])
    merged = merge(job, job_news(status="waiting", order_at=None), owner="acme", pool=None, now=START)
    assert merged.ask
    assert merged.job.status is JobStatus.QUEUED


def test_an_answer_of_the_api_is_decisive_where_nothing_else_tells() -> None:
    job = fold([job_news(status="waiting", order_at=None)])
    merged = merge(job, job_news(status="queued", source="api:sweep"), owner="acme", pool=None, now=START)
    assert (merged.job.status, merged.ask) == (JobStatus.QUEUED, False)


def test_the_jobs_own_conclusion_wins_over_its_runs_in_either_order() -> None:
    by_run = job_news(status="completed", conclusion="cancelled", completed_at=None, source="api:run_is_over")
    own = job_news(status="completed", conclusion="success")
    assert fold([by_run, own]).conclusion == fold([own, by_run]).conclusion == "success"


def test_the_later_time_decides_between_queued_and_waiting() -> None:
    later = fold([job_news(status="waiting", order_at=at(2)), job_news(status="queued", order_at=at(1))])
    assert later.status is JobStatus.WAITING


@given(st.permutations(story()))
def test_every_move_of_a_job_stands_in_its_table(order: list[JobNews]) -> None:
    job: Job | None = None
    for news in order:
        before = job.status if job else None
        job = merge(job, news, owner="acme", pool="linux", now=START).job
        if before is not None and before is not job.status:
            assert JOBS.advance(before, f"seen_{job.status.value}") is job.status
