"""How a run stands, which job a workspace is of, and why it is still there: unknown is never an end (law 4)."""

from typing import Any

import pytest

from andon.model.nouns import Workspace
from andon.rules.workspace_words import JobFact, RunWord, job_of, overdue, run_word, why_here
from tests.support.builders import START, at


def a_job(id: int = 1, status: str = "in_progress", **changes: Any) -> JobFact:
    defaults: dict[str, Any] = {
        "run_id": 10,
        "attempt": 1,
        "name": "test",
        "conclusion": None,
        "runner_name": "r-0",
        "started_at": START,
        "completed_at": None,
        "single": False,
    }
    return JobFact(id=id, status=status, **{**defaults, **changes})


def a_workspace(**changes: Any) -> Workspace:
    defaults: dict[str, Any] = {
        "host": "host-a",
        "id": "10-1-test-aaaaaaaaaa",
        "run_id": 10,
        "attempt": 1,
        "repository": "acme/app",
        "job_key": "test",
        "runner": "r-0",
        "slot": 0,
        "path": "/a",
        "state": "leased",
        "since": START,
        "held_by": (),
        "bytes": None,
        "standalone": False,
        "made_at": at(3),
        "seen_at": at(3),
    }
    return Workspace(**{**defaults, **changes})


@pytest.mark.parametrize(
    ("jobs", "attempts", "word"),
    [
        ([], {}, "unknown"),
        ([], {1: "completed"}, "unknown"),
        ([], {1: "in_progress"}, "in_progress"),
        (["queued"], {}, "queued"),
        (["waiting"], {1: "completed"}, "waiting"),
        (["pending", "completed"], {}, "waiting"),
        (["in_progress", "queued"], {1: "queued"}, "in_progress"),
        (["completed"], {}, "completed"),
        (["completed"], {1: "completed"}, "completed"),
        (["completed"], {1: "in_progress"}, "in_progress"),
        (["completed"], {1: "requested"}, "queued"),
        (["completed"], {1: "pending"}, "waiting"),
        (["completed"], {1: "a_new_word"}, "in_progress"),
        (["completed"], {1: "completed", 2: "queued"}, "queued"),
        (["a_new_word"], {1: "completed"}, "in_progress"),
    ],
)
def test_how_a_run_stands(jobs: list[str], attempts: dict[int, str], word: str) -> None:
    assert run_word([a_job(number, status) for number, status in enumerate(jobs)], attempts) is RunWord(word)


def test_what_an_old_attempt_said_is_nothing_of_a_newer_one() -> None:
    jobs = [a_job(1, "completed"), a_job(2, "in_progress", attempt=2)]
    assert run_word(jobs, {1: "completed"}) is RunWord.IN_PROGRESS
    assert run_word([a_job(2, "completed", attempt=2)], {1: "queued"}) is RunWord.COMPLETED


def test_a_runner_with_a_claim_serves_one_job_whatever_the_clocks_say() -> None:
    job = a_job(status="completed", completed_at=at(-900), single=True)
    assert job_of(a_workspace(), [job]) is job
    assert job_of(a_workspace(), [job, a_job(2, single=True)]) is None


@pytest.mark.parametrize("changes", [{"run_id": 11}, {"attempt": 2}, {"runner_name": "r-1"}, {"runner_name": None}])
def test_another_run_attempt_or_runner_is_another_job(changes: dict[str, Any]) -> None:
    assert job_of(a_workspace(), [a_job(**changes)]) is None


def test_without_a_runners_name_nothing_is_known() -> None:
    assert job_of(a_workspace(runner=None), [a_job(runner_name=None)]) is None


def test_a_persistent_runners_jobs_of_one_attempt_are_told_apart() -> None:
    before = a_job(1, "completed", name="test (a)", started_at=at(-60), completed_at=at(0))
    after = a_job(2, name="test (b)", started_at=at(1))
    mine = a_workspace(made_at=at(3))
    # The word of the second job is not here yet: the first is over, so it is not the one that runs.
    assert job_of(mine, [before]) is None
    assert job_of(mine, [before, after]) is after
    assert job_of(a_workspace(made_at=at(-57), state="draining"), [before, after]) is before
    assert job_of(a_workspace(made_at=at(300), state="draining"), [before]) is None


def test_the_workflows_key_decides_between_jobs_that_fit() -> None:
    lint, test = a_job(1, name="lint"), a_job(2, name="test (x, 3.11)")
    assert job_of(a_workspace(), [test, lint]) is test
    assert job_of(a_workspace(job_key="lint"), [test, lint]) is lint


def test_a_job_that_begins_later_is_not_the_one() -> None:
    assert job_of(a_workspace(made_at=at(0)), [a_job(started_at=at(60))]) is None


@pytest.mark.parametrize(
    ("state", "seconds", "late"), [("draining", 601, True), ("draining", 599, False), ("dead", 9999, False)]
)
def test_what_is_held_long_after_its_job_is_overdue(state: str, seconds: float, late: bool) -> None:
    assert overdue(a_workspace(state=state), at(seconds)) is late
    assert not overdue(a_workspace(state=state, since=None), at(seconds))


def test_every_state_has_its_sentence_and_the_agents_words_come_first() -> None:
    for state in ("fresh", "leased", "draining", "dead", "trashed", "of_a_newer_agent"):
        said = why_here(a_workspace(state=state), RunWord.QUEUED, host_reports=True)
        assert said.endswith(".") and said[0].isupper()
    held = a_workspace(state="draining", held_by=("a mount is left in it", "process 9 has a file open."))
    assert why_here(held, RunWord.COMPLETED, host_reports=True) == ("a mount is left in it. process 9 has a file open.")
    assert why_here(held, RunWord.COMPLETED, host_reports=False).endswith("Its host is silent: so it was told last.")
