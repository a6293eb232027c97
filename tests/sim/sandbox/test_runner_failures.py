"""The runner failure modes on public record (limits.md section 5), each played; numbers are the modes'."""

import json

import pytest

from andon.sim.sandbox.faults import FaultSpec, Match
from andon.sim.sandbox.job_json import job_json
from andon.sim.sandbox.records import Stage
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.runner_json import runner_json

MINUTE = 60


def strike(fleet, kind, *, count=1, match=None, **more):
    fleet.github.faults.add(FaultSpec(kind=kind, count=count, match=match or Match(), **more))


def shown(job):
    return job_json(job, "http://sandbox")


def told(fleet):
    return [(json.loads(one.body)["workflow_job"]["id"], json.loads(one.body)["action"]) for one in fleet.sent()]


def listed(fleet):
    return [runner.name for runner in fleet.github.runners.list("acme/app")]


def test_2_a_job_goes_to_any_runner_that_fits_though_the_shuffle_is_off(make_fleet):
    def picked(seed, *, struck):
        fleet = make_fleet(seed=seed, shuffle=False)
        listeners = [fleet.listener() for _ in range(4)]
        if struck:
            strike(fleet, "job_shuffled")
        (job,) = fleet.run()
        return next(place for place, one in enumerate(listeners) if job.assignment.runner is one.runner)

    assert {picked(seed, struck=False) for seed in range(8)} == {0}
    assert len({picked(seed, struck=True) for seed in range(8)}) > 1


def test_2_a_free_runner_gets_any_of_the_oldest_jobs(make_fleet):
    def picked(seed):
        fleet = make_fleet(seed=seed, shuffle=False)
        jobs = [fleet.run()[0] for _ in range(4)]
        strike(fleet, "job_shuffled")
        listener = fleet.listener()
        return jobs.index(listener.runner.assigned)

    assert len({picked(seed) for seed in range(8)}) > 1


@pytest.mark.parametrize("seed", range(5))
def test_3_an_idle_runner_vanishes_and_its_listener_is_told_to_end_well(make_fleet, seed):
    fleet = make_fleet(seed=seed)
    strike(fleet, "runner_vanishes")
    listener = fleet.listener()
    fleet.pass_time(119)
    assert listed(fleet) == [listener.runner.name] and listener.poll() is None
    for _ in range(24):
        fleet.pass_time(10)
        if (message := listener.poll()) is not None:
            break
    assert message == {"kind": "exit", "code": 0} and listed(fleet) == []
    fleet.github.runners.close_session(listener.runner, listener.session.id)
    with pytest.raises(ApiError, match="deleted from the server"):
        fleet.github.runners.get_session(listener.runner, listener.session.id)


def test_3_a_runner_with_a_job_does_not_vanish(fleet):
    strike(fleet, "runner_vanishes", seconds=30, count=2)
    (job,) = fleet.run()
    listener = fleet.listener()
    fleet.pass_time(31)
    assert listener.runner.assigned is job
    assert listener.take() is job
    fleet.pass_time(200)
    assert listed(fleet) == [listener.runner.name]
    fleet.github.execution.renew(listener.runner, job.id)
    listener.finish(job)
    assert job.conclusion == "success"


@pytest.mark.parametrize("status", [None, 404, 409])
def test_4_a_lost_assignment_leaves_a_listener_that_never_gets_a_job_again(fleet, status):
    (job,) = fleet.run()
    strike(fleet, "assignment_lost", status=status)
    dead = fleet.listener()
    with pytest.raises(ApiError) as refused:
        dead.take()
    assert refused.value.status == (status or 404)
    assert listed(fleet) == [] and job.stage is Stage.QUEUED and job.assignment is None
    assert dead.poll() is None
    alive = fleet.listener()
    assert alive.take() is job
    fleet.run()
    for _ in range(10):
        fleet.pass_time(50)
        assert dead.poll() is None
        fleet.github.execution.renew(alive.runner, job.id)
    truth = {each["name"]: each for each in fleet.github.truth()["runners"]}[dead.runner.name]
    assert truth["listens_on"] and truth["removed_reason"] == "lost its assignment"


def test_5_a_job_whose_worker_hangs_stays_queued_until_it_is_cancelled(fleet):
    fleet.hook()
    (job,) = fleet.run()
    strike(fleet, "worker_hangs", seconds=5)
    dead = fleet.listener()
    message = dead.poll()
    assert message["job"]["fault"] == {"kind": "worker_hangs", "seconds": 5.0}
    assert fleet.github.execution.acquire(dead.runner, dead.session.id, job.id) is job
    fleet.github.runners.close_session(dead.runner, dead.session.id)
    (struck,) = fleet.github.truth()["faults_struck"]
    assert (struck["kind"], struck["job"], struck["runner"]) == ("worker_hangs", job.id, dead.runner.name)
    fleet.pass_time(20 * MINUTE)
    others = [fleet.listener() for _ in range(2)]
    assert shown(job)["status"] == "queued" and [one.poll() for one in others] == [None, None]
    assert fleet.github.truth()["jobs"][0]["limbo"].startswith(f"bound to {dead.runner.name}")
    fleet.github.runs.cancel(job.run)
    assert job.conclusion == "cancelled" and told(fleet) == [(job.id, "queued"), (job.id, "completed")]
    fleet.github.runs.rerun(job.run)
    assert sum(one.runner.assigned is not None or one.poll() is not None for one in others) == 1


def test_6_a_job_that_succeeded_is_called_failed(fleet):
    strike(fleet, "job_lost_communication")
    (job,) = fleet.run()
    listener = fleet.listener()
    listener.finish(listener.take())
    assert job.conclusion == "failure" and "lost communication" in job.history[-1].reason


@pytest.mark.parametrize("seed", range(3))
def test_6_a_job_that_ended_is_shown_in_progress_for_a_while(make_fleet, seed):
    fleet = make_fleet(seed=seed)
    fleet.hook()
    strike(fleet, "job_status_stuck")
    (job,) = fleet.run()
    listener = fleet.listener()
    listener.finish(listener.take())
    assert listed(fleet) == [] and shown(job)["status"] == "in_progress"
    fleet.pass_time(10 * MINUTE - 1)
    assert shown(job)["status"] == "in_progress"
    fleet.pass_time(20 * MINUTE)
    assert job.conclusion == "success"
    assert [action for _, action in told(fleet)] == ["queued", "in_progress", "completed"]


def test_6_a_job_that_runs_is_shown_queued_and_goes_from_queued_to_completed(fleet):
    fleet.hook()
    strike(fleet, "job_shown_queued", seconds=600)
    (job,) = fleet.run()
    listener = fleet.listener()
    assert listener.take() is job
    fleet.pass_time(30)
    assert shown(job)["status"] == "queued" and shown(job)["runner_id"] is None
    assert shown(job)["started_at"] == shown(job)["created_at"]
    listener.finish(job)
    assert shown(job)["status"] == "queued"
    fleet.pass_time(600)
    assert shown(job)["conclusion"] == "success" and shown(job)["runner_name"] == listener.runner.name
    assert [action for _, action in told(fleet)] == ["queued", "completed"]


def test_6_completed_is_never_sent(fleet):
    hook = fleet.hook()
    strike(fleet, "delivery_never_created", match=Match(action="completed"))
    fleet.run()
    listener = fleet.listener()
    listener.finish(listener.take())
    assert [action for _, action in told(fleet)] == ["queued", "in_progress"]
    assert len(fleet.github.hooks.log_of(hook)) == 2


@pytest.mark.parametrize(("seconds", "lost_after"), [(90, 90), (None, 600)])
def test_7_a_starved_listener_loses_the_lock_while_its_job_runs_on(fleet, seconds, lost_after):
    strike(fleet, "lock_lost", seconds=seconds)
    (job,) = fleet.run()
    listener = fleet.listener()
    message = listener.poll()
    assert message["job"]["fault"]["kind"] == "lock_lost"
    fleet.github.execution.acquire(listener.runner, listener.session.id, job.id)
    fleet.pass_time(lost_after - 1)
    fleet.github.execution.renew(listener.runner, job.id)
    assert job.stage is Stage.IN_PROGRESS
    fleet.pass_time(1)
    assert job.conclusion == "failure" and "lost communication" in job.history[-1].reason
    with pytest.raises(ApiError) as refused:
        listener.finish(job)
    assert refused.value.status == 404


def test_8_a_job_waits_beside_an_idle_runner_until_its_run_is_run_again(fleet):
    strike(fleet, "job_never_bound")
    listener = fleet.listener()
    (job,) = fleet.run()
    for _ in range(40):
        fleet.pass_time(90)
        assert listener.poll() is None
    assert runner_json(listener.runner)["status"] == "online" and job.stage is Stage.QUEUED
    fleet.github.runs.cancel(job.run)
    (again,) = fleet.github.runs.rerun(job.run).jobs
    assert listener.take() is again


def test_8_a_job_that_is_never_bound_is_given_up_after_a_day_and_one_for_ever_is_not(fleet):
    strike(fleet, "job_never_bound")
    (given_up,) = fleet.run()
    strike(fleet, "job_queued_forever")
    (for_ever,) = fleet.run()
    fleet.pass_time(79 * 86_400)
    assert given_up.conclusion == "cancelled" and for_ever.stage is Stage.QUEUED
    fleet.github.runs.cancel(for_ever.run)
    fleet.pass_time(86_400)
    assert for_ever.stage is Stage.QUEUED
    fleet.github.runs.cancel(for_ever.run, force=True)
    assert for_ever.conclusion == "cancelled"


def test_9_a_queued_comes_after_its_completed(fleet):
    fleet.hook()
    strike(fleet, "delivery_after_completed", match=Match(action="queued"))
    (job,) = fleet.run()
    listener = fleet.listener()
    listener.take()
    (other,) = fleet.run()
    assert told(fleet) == [(job.id, "in_progress"), (other.id, "queued")]
    listener.finish(job)
    assert told(fleet) == [(job.id, "completed"), (job.id, "queued")]


def test_9_a_queued_that_nothing_follows_comes_by_itself(fleet):
    fleet.hook()
    strike(fleet, "delivery_after_completed", seconds=300)
    (job,) = fleet.run()
    assert told(fleet) == []
    fleet.pass_time(300)
    assert told(fleet) == [(job.id, "queued")]


def test_10_a_job_that_ended_is_never_completed(fleet):
    fleet.hook()
    strike(fleet, "job_never_completed")
    (job,) = fleet.run()
    listener = fleet.listener()
    listener.finish(listener.take())
    fleet.pass_time(30 * 86_400)
    assert shown(job)["status"] == "in_progress" and listed(fleet) == []
    fleet.github.runs.cancel(job.run)
    fleet.pass_time(86_400)
    assert job.stage is Stage.IN_PROGRESS
    assert [action for _, action in told(fleet)] == ["queued", "in_progress"]
    fleet.github.runs.cancel(job.run, force=True)
    fleet.pass_time(0)
    assert job.conclusion == "cancelled"


def test_10_a_cancel_that_was_on_its_way_does_not_complete_it_either(fleet):
    strike(fleet, "job_never_completed")
    (job,) = fleet.run()
    listener = fleet.listener()
    listener.take()
    fleet.github.runs.cancel(job.run)
    listener.finish(job, "cancelled")
    fleet.pass_time(86_400)
    assert job.stage is Stage.IN_PROGRESS


def test_10_a_run_that_failed_to_start_has_jobs_that_say_queued(fleet):
    strike(fleet, "run_startup_failure")
    (job,) = fleet.run()
    assert (job.run.latest.status, job.run.latest.conclusion) == ("completed", "startup_failure")
    assert fleet.listener().poll() is None
    fleet.pass_time(2 * 86_400)
    assert shown(job)["status"] == "queued"
    assert fleet.github.runs.list(job.run.repository, status="startup_failure") == [job.run]
    (again,) = fleet.github.runs.rerun(job.run).jobs
    assert fleet.listener().take() is again


def test_a_new_runner_is_listed_late(fleet):
    strike(fleet, "runner_listed_late", seconds=30)
    runner = fleet.runner()
    assert listed(fleet) == [] and fleet.github.runners.list("acme/app", name=runner.name) == []
    fleet.pass_time(30)
    assert listed(fleet) == [runner.name]


def test_a_version_that_is_deprecated_gets_no_session(fleet):
    strike(fleet, "runner_deprecated")
    with pytest.raises(ApiError, match=r"v2\.336\.0 is deprecated and cannot receive messages"):
        fleet.listener()
    assert fleet.listener().poll() is None


def test_a_fault_of_jobs_befalls_what_it_names_and_is_in_the_truth(fleet, make_job):
    strike(fleet, "worker_hangs", count=None, match=Match(job="bad*", runner="r2"))
    first = fleet.listener()
    (bad,) = fleet.run(make_job("bad-one"))
    assert first.take() is bad
    second = fleet.listener()
    (good,) = fleet.run(make_job("good"))
    assert second.take() is good
    second.finish(good)
    assert fleet.github.truth()["faults_struck"] == []
