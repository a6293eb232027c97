"""Runs: needs, gates, reruns, cancels."""

import pytest

from andon.sim.sandbox.records import Stage
from andon.sim.sandbox.refusals import ApiError


def work_off(fleet, *, conclusions=None):
    """Runners come and serve until nothing waits; jobs end as `conclusions` says, else well."""
    while any(job.stage is Stage.QUEUED and job.assignment is None for job in fleet.world.jobs.values()):
        listener = fleet.listener()
        taken = listener.take()
        listener.finish(taken, (conclusions or {}).get(taken.name, "success"))


def states(jobs):
    return {job.name: job.conclusion or job.stage.value for job in jobs}


def test_a_job_with_unmet_needs_is_not_shown(fleet, make_job):
    build, test = fleet.run(make_job("build"), make_job("test", needs=("build",)))
    run = build.run
    assert fleet.github.runs.jobs_of(run) == [build]
    with pytest.raises(ApiError) as refusal:
        fleet.github.runs.get_job(run.repository, test.id)
    assert refusal.value.status == 404
    listener = fleet.listener()
    listener.finish(listener.take())
    assert test.stage is Stage.QUEUED
    assert fleet.github.runs.jobs_of(run) == [build, test]


def test_what_needs_a_failed_job_is_skipped_and_so_is_what_needs_that(fleet, make_job):
    jobs = fleet.run(
        make_job("build"),
        make_job("lint"),
        make_job("test", needs=("build", "lint")),
        make_job("ship", needs=("test",)),
    )
    work_off(fleet, conclusions={"build": "failure"})
    assert states(jobs) == {"build": "failure", "lint": "success", "test": "skipped", "ship": "skipped"}
    assert (jobs[0].run.latest.status, jobs[0].run.latest.conclusion) == ("completed", "failure")


def test_a_run_moves_with_its_jobs(fleet, make_job):
    build, _ = fleet.run(make_job("build"), make_job("test", needs=("build",)))
    attempt = build.run.latest
    assert attempt.status == "queued"
    listener = fleet.listener()
    taken = listener.take()
    assert attempt.status == "in_progress"
    listener.finish(taken)
    assert attempt.status == "in_progress"
    work_off(fleet)
    assert (attempt.status, attempt.conclusion) == ("completed", "success")
    assert fleet.github.runs.list(build.run.repository, status="queued") == []
    assert fleet.github.runs.list(build.run.repository, status="success") == [build.run]


def test_a_gated_job_waits_until_it_is_released(fleet, make_job):
    (gated,) = fleet.run(make_job("ship", gate=True))
    assert gated.stage is Stage.WAITING and gated.run.latest.status == "waiting"
    assert fleet.listener().poll() is None
    fleet.github.runs.release_gate(gated)
    assert gated.stage is Stage.QUEUED and gated.assignment is not None
    with pytest.raises(ApiError) as refusal:
        fleet.github.runs.release_gate(gated)
    assert refusal.value.status == 409


def test_a_rerun_makes_new_jobs_in_a_new_attempt(fleet, make_job):
    build, test = fleet.run(make_job("build"), make_job("test", needs=("build",)))
    with pytest.raises(ApiError) as refusal:
        fleet.github.runs.rerun(build.run)
    assert refusal.value.status == 403
    work_off(fleet)
    fleet.github.runs.rerun(build.run)
    again = build.run.latest
    assert again.number == 2 and not {job.id for job in again.jobs} & {build.id, test.id}
    assert build.run.sha == again.jobs[0].run.sha
    work_off(fleet)
    assert again.conclusion == "success"
    assert len(fleet.github.runs.jobs_of(build.run, all_attempts=True)) == 4


def test_a_rerun_of_failed_jobs_keeps_what_succeeded(fleet, make_job):
    lint, build, test = fleet.run(make_job("lint"), make_job("build"), make_job("test", needs=("build", "lint")))
    work_off(fleet, conclusions={"build": "failure"})
    fleet.github.runs.rerun_failed(build.run)
    jobs = fleet.github.runs.jobs_of(build.run)
    assert lint in jobs and build not in jobs and test not in jobs
    work_off(fleet)
    assert states(build.run.latest.jobs) == {"lint": "success", "build": "success", "test": "success"}
    assert (build.conclusion, test.conclusion) == ("failure", "skipped")


def test_a_rerun_of_one_job_takes_its_dependants_along(fleet, make_job):
    jobs = fleet.run(make_job("lint"), make_job("build"), make_job("test", needs=("build",)))
    work_off(fleet)
    fleet.github.runs.rerun_job(jobs[1])
    again = {job.name: job for job in jobs[0].run.latest.jobs}
    assert again["lint"] is jobs[0] and again["build"] is not jobs[1] and again["test"].stage is Stage.BLOCKED


def test_a_run_is_run_again_at_most_50_times(fleet):
    (made,) = fleet.run()
    for _ in range(50):
        work_off(fleet)
        fleet.github.runs.rerun(made.run)
    work_off(fleet)
    with pytest.raises(ApiError) as refusal:
        fleet.github.runs.rerun(made.run)
    assert refusal.value.status == 403


def test_cancel_ends_what_waits_and_tells_the_runner_of_what_runs(fleet, make_job):
    jobs = fleet.run(make_job("a"), make_job("b"), make_job("c", needs=("a",)))
    listener = fleet.listener()
    running = listener.take()
    fleet.github.runs.cancel(running.run)
    waiting = next(job for job in jobs[:2] if job is not running)
    assert waiting.conclusion == "cancelled" and jobs[2].conclusion == "skipped"
    assert running.stage is Stage.IN_PROGRESS
    assert listener.poll() == {"kind": "cancel", "job_id": running.id}
    assert listener.poll() is None
    listener.finish(running, "cancelled")
    assert running.run.latest.conclusion == "cancelled"
    with pytest.raises(ApiError) as refusal:
        fleet.github.runs.cancel(running.run)
    assert refusal.value.status == 409


def test_cancel_takes_back_an_offered_job(fleet):
    (made,) = fleet.run()
    listener = fleet.listener()
    assert listener.poll() is not None
    fleet.github.runs.cancel(made.run)
    with pytest.raises(ApiError) as refusal:
        fleet.github.execution.acquire(listener.runner, listener.session.id, made.id)
    assert refusal.value.status == 404
    assert made.conclusion == "cancelled" and made.runner is None
    fleet.run()
    assert listener.take().conclusion is None


def test_the_server_ends_a_cancelled_job_after_five_minutes(fleet):
    fleet.run()
    listener = fleet.listener()
    running = listener.take()
    fleet.github.runs.cancel(running.run)
    fleet.pass_time(299)
    assert running.stage is Stage.IN_PROGRESS
    fleet.pass_time(1)
    assert running.conclusion == "cancelled" and listener.runner.removed_at is not None


def test_the_job_message_carries_what_steps_need(fleet, make_job):
    fleet.run(make_job("Test (a, 1)", env={"A": "1"}), event="pull_request", branch="topic", payload={"extra": 1})
    message = fleet.listener().poll()["job"]
    assert message["key"] == "test" and message["ref"].startswith("refs/pull/") and message["branch"] == "topic"
    assert message["event_payload"]["extra"] == 1 and message["env"] == {"A": "1"}
