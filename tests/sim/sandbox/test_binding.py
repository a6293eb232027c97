"""GitHub binds a runner to a label set: who gets which job, and what happens when nobody takes it."""

import pytest

from andon.sim.sandbox.records import Stage
from andon.sim.sandbox.refusals import ApiError


def test_a_runner_gets_a_job_whose_labels_it_covers_whatever_their_case(fleet, make_job):
    listener = fleet.listener(labels=("SELF-HOSTED", "Rust", "extra"))
    (wanted,) = fleet.run(make_job("test", labels=("self-hosted", "RUST")))
    assert listener.take() is wanted
    assert (wanted.stage, wanted.runner) == (Stage.IN_PROGRESS, listener.runner)


def test_a_job_with_a_label_that_no_runner_has_waits(fleet, make_job):
    listener = fleet.listener()
    (waiting,) = fleet.run(make_job("gpu", labels=("self-hosted", "gpu")))
    assert listener.poll() is None
    assert waiting.stage is Stage.QUEUED and waiting.assignment is None


def test_a_repository_runner_serves_its_repository_only_and_an_organisation_runner_all_of_the_owner(fleet, make_job):
    own = fleet.listener()
    (other,) = fleet.run(make_job("test"), repository="acme/other")
    (foreign,) = fleet.run(make_job("test"), repository="else/app")
    assert own.poll() is None
    everywhere = fleet.listener(scope="acme")
    assert everywhere.take() is other
    assert foreign.assignment is None


def test_chance_picks_among_the_idle_runners(make_fleet):
    chosen = set()
    for seed in range(12):
        fleet = make_fleet(seed=seed)
        listeners = [fleet.listener() for _ in range(3)]
        (made,) = fleet.run()
        chosen.add([listener.runner for listener in listeners].index(made.assignment.runner))
    assert chosen == {0, 1, 2}


def test_chance_picks_among_the_oldest_jobs_when_a_runner_comes(make_fleet):
    """A runner minted for the first job takes another one: limits.md section 5, mode 2."""
    chosen = set()
    for seed in range(20):
        fleet = make_fleet(seed=seed)
        jobs = [fleet.run()[0] for _ in range(8)]
        chosen.add(jobs.index(fleet.listener().take()))
    assert chosen == {0, 1, 2, 3}


def test_without_the_shuffle_the_oldest_runner_gets_the_oldest_job(make_fleet):
    fleet = make_fleet(shuffle=False)
    jobs = [fleet.run()[0] for _ in range(5)]
    assert [fleet.listener().take() for _ in jobs] == jobs
    listeners = [fleet.listener() for _ in range(3)]
    assert fleet.run()[0].assignment.runner is listeners[0].runner


def test_an_assignment_not_picked_up_in_60_s_goes_to_another_runner(fleet):
    (made,) = fleet.run()
    silent = fleet.listener()
    assert silent.poll() is not None
    other = fleet.listener()
    fleet.pass_time(59.9)
    assert made.assignment.runner is silent.runner
    fleet.pass_time(0.1)
    assert made.assignment.runner is other.runner
    with pytest.raises(ApiError) as refusal:
        fleet.github.execution.acquire(silent.runner, silent.session.id, made.id)
    assert refusal.value.status == 409
    assert other.take() is made


def test_a_runner_that_let_a_job_pass_is_offered_one_again_only_after_it_polled(fleet):
    (made,) = fleet.run()
    silent = fleet.listener()
    fleet.pass_time(60)
    assert made.assignment is None and made.stage is Stage.QUEUED
    assert silent.take() is made


def test_a_message_is_handed_out_once(fleet):
    fleet.run()
    listener = fleet.listener()
    assert listener.poll() is not None
    assert listener.poll() is None


def test_a_job_queued_again_goes_first(make_fleet):
    fleet = make_fleet(shuffle=False)
    (first,) = fleet.run()
    fleet.listener()
    (second,) = fleet.run()
    fleet.pass_time(60)
    assert fleet.listener().take() is first
    assert fleet.listener().take() is second


def test_a_job_that_is_taken_keeps_its_true_history(fleet):
    (made,) = fleet.run()
    listener = fleet.listener()
    listener.finish(listener.take())
    assert [change.what for change in made.history] == ["queued", "assigned", "in_progress", "completed"]
    shown = fleet.github.truth()["jobs"][0]
    assert [line["runner"] for line in shown["history"]] == [None, "r1", "r1", "r1"]


def test_a_job_nobody_takes_for_a_day_is_cancelled(fleet):
    (made,) = fleet.run()
    fleet.pass_time(86_400)
    assert (made.stage, made.conclusion) == (Stage.COMPLETED, "cancelled")
    assert fleet.listener().poll() is None
