"""Registrations: JIT configs serve one job, names are taken, busy runners stay."""

import base64
import json

import pytest

from andon.sim.sandbox.jit_config import encoded_config
from andon.sim.sandbox.records import Stage
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.runner_json import runner_json


def status_of(call, *args, **more):
    with pytest.raises(ApiError) as refusal:
        call(*args, **more)
    return refusal.value.status


def test_a_used_jit_config_opens_nothing_any_more(fleet):
    fleet.run()
    listener = fleet.listener()
    listener.finish(listener.take())
    assert fleet.github.runners.list("acme/app") == []
    assert status_of(fleet.github.runners.open_session, listener.runner, version=None, os=None) == 401
    assert status_of(listener.poll) == 401


def test_a_persistent_runner_stays_and_takes_the_next_job(fleet):
    listener = fleet.listener(ephemeral=False)
    for _ in range(2):
        fleet.run()
        listener.finish(listener.take())
    assert listener.runner.served and listener.runner.removed_at is None


def test_a_second_session_is_refused_until_the_first_is_gone(fleet):
    listener = fleet.listener()
    opening = fleet.github.runners.open_session
    assert status_of(opening, listener.runner, version=None, os=None) == 409
    fleet.github.runners.close_session(listener.runner, listener.session.id)
    assert runner_json(listener.runner)["status"] == "offline"
    opening(listener.runner, version=None, os=None)
    assert runner_json(listener.runner)["status"] == "online"


def test_a_listener_that_falls_silent_becomes_offline(fleet):
    listener = fleet.listener()
    fleet.pass_time(100)
    listener.poll()
    fleet.pass_time(119)
    assert listener.runner.session is not None
    fleet.pass_time(1)
    assert listener.runner.session is None
    (made,) = fleet.run()
    assert made.assignment is None


def test_names_groups_and_places_are_checked(fleet):
    register = fleet.github.runners.register
    register("acme/app", name="one", labels=("a",))
    assert status_of(register, "ACME/app", name="ONE", labels=("a",)) == 409
    assert status_of(register, "acme/none", name="two", labels=("a",)) == 404
    assert status_of(register, "nobody", name="two", labels=("a",)) == 404
    assert status_of(register, "acme/app", name="two", labels=("a",), group_id=9) == 404
    assert status_of(register, "acme/app", name="two", labels=()) == 422
    assert status_of(register, "acme/app", name="two", labels=("a",) * 101) == 422
    register("acme", name="one", labels=("a",))


def test_a_busy_runner_cannot_be_deleted_an_idle_one_can(fleet):
    fleet.run()
    busy, idle = fleet.listener(), fleet.listener()
    made = busy.take()
    delete = fleet.github.runners.delete
    assert status_of(delete, "acme/app", busy.runner.id) == 422
    assert made.stage is Stage.IN_PROGRESS
    delete("acme/app", idle.runner.id)
    assert status_of(delete, "acme/app", idle.runner.id) == 404
    assert status_of(idle.poll) == 401


def test_deleting_a_runner_that_was_offered_a_job_queues_the_job_again(fleet):
    (made,) = fleet.run()
    first = fleet.listener()
    fleet.github.runners.delete("acme/app", first.runner.id)
    assert made.stage is Stage.QUEUED
    assert fleet.listener().take() is made


def test_a_runner_whose_job_lost_its_lock_loses_both(fleet):
    fleet.run()
    listener = fleet.listener()
    made = listener.take()
    fleet.pass_time(599)
    fleet.github.execution.renew(listener.runner, made.id)
    fleet.pass_time(599)
    assert made.stage is Stage.IN_PROGRESS
    fleet.pass_time(1)
    assert (made.stage, made.conclusion) == (Stage.COMPLETED, "failure")
    assert made.history[-1].reason == "lost communication with the server"
    assert status_of(fleet.github.execution.renew, listener.runner, made.id) == 404
    assert status_of(listener.finish, made) == 404
    assert made.conclusion == "failure"
    assert listener.runner.removed_at is not None


def test_an_unused_registration_is_removed_after_a_day(fleet):
    unused, waiting = fleet.runner(), fleet.listener()
    for _ in range(24):
        waiting.poll()
        fleet.pass_time(60)
    fleet.pass_time(86_400 - 24 * 60)
    assert unused.removed_at is not None
    assert waiting.runner.removed_at is None


def test_the_jit_config_has_the_official_names(fleet):
    runner = fleet.runner()
    files = json.loads(base64.b64decode(encoded_config(runner, "http://here")))
    settings = json.loads(base64.b64decode(files[".runner"]))
    credentials = json.loads(base64.b64decode(files[".credentials"]))
    assert settings["agentName"] == "r1" and settings["serverUrl"] == "http://here"
    assert settings["gitHubUrl"] == "http://here/acme/app" and settings["workFolder"] == "_work"
    assert credentials["data"]["token"] == runner.token
    assert runner.token not in json.dumps(fleet.github.truth())


def test_a_runner_cannot_touch_the_job_of_another(fleet):
    fleet.run(), fleet.run()
    mine, other = fleet.listener(), fleet.listener()
    made, _ = mine.take(), other.take()
    execution = fleet.github.execution
    assert status_of(other.finish, made) == 404
    assert status_of(execution.renew, other.runner, made.id) == 404
    assert status_of(execution.report_steps, other.runner, made.id, []) == 404
    assert status_of(execution.put_log, other.runner, made.id, b"x") == 404
    assert made.stage is Stage.IN_PROGRESS and made.log is None


def test_a_listener_that_waits_in_a_held_poll_is_online(fleet):
    listener = fleet.listener()
    fleet.github.runners.begin_poll(listener.session)
    fleet.pass_time(500)
    assert listener.runner.session is listener.session
    fleet.github.runners.end_poll(listener.session)
    fleet.pass_time(120)
    assert listener.runner.session is None


def test_what_is_printed_of_a_runner_holds_no_token(fleet):
    listener = fleet.listener()
    assert listener.runner.token not in repr(listener.runner) + repr(listener.session)
