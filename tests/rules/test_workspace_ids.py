"""The id of a workspace leads to its job long after the workspace is gone; nothing in it is believed."""

import pytest

from andon.model.nouns import Job
from andon.rules.job_news import merge
from andon.rules.workspace_ids import IdParts, jobs_behind, parts_of
from tests.support.builders import START, job_news


def a_job(id: int, name: str, attempt: int = 1) -> Job:
    news = job_news(id, "in_progress", name=name, attempt=attempt)
    return merge(None, news, owner="acme", pool=None, now=START).job


def test_an_id_says_run_attempt_and_key() -> None:
    assert parts_of("10-2-build-x-aaaaaaaaaa") == IdParts(run_id=10, attempt=2, key="build-x")
    assert parts_of("10-1--aaaaaaaaaa") == IdParts(run_id=10, attempt=1, key="")


@pytest.mark.parametrize(
    "id",
    [
        "",
        "abc",
        "10",
        "10-1",
        "10-1-x",
        "../../etc",
        "10-1-a/b-aaaaaaaaaa",
        "10-1-a-aaaaaaaaaa\n",
        "1" * 19 + "-1-a-aaaaaaaa",
    ],
)
def test_other_texts_are_no_ids(id: str) -> None:
    assert parts_of(id) is None


def test_the_key_finds_its_job_and_the_legs_of_its_matrix() -> None:
    jobs = [a_job(1, "Build_X (a, 1)"), a_job(2, "Build_X (b, 1)"), a_job(3, "lint"), a_job(4, "lint", attempt=2)]
    found = {key: jobs_behind(IdParts(run_id=10, attempt=1, key=key), jobs) for key in ("build-x", "lint", "other", "")}
    assert [job.id for job in found["build-x"]] == [1, 2]
    assert [job.id for job in found["lint"]] == [3]
    # A job may have a name of its own: then every job of the attempt may be meant.
    assert [job.id for job in found["other"]] == [job.id for job in found[""]] == [1, 2, 3]
