"""Webhooks: what is sent, how it is signed, what faults do to it, and how it is sent again."""

import hashlib
import hmac
import json
import uuid

import pytest

from andon.sim.sandbox.faults import FaultSpec, Match
from andon.sim.sandbox.refusals import ApiError


def told(outgoing):
    return [(json.loads(one.body).get("action"), one.headers["X-GitHub-Event"]) for one in outgoing]


def actions(outgoing):
    return [action for action, _ in told(outgoing)]


def run_one(fleet):
    (made,) = fleet.run()
    listener = fleet.listener()
    listener.finish(listener.take())
    return made


def test_a_run_tells_its_story_in_order(fleet):
    fleet.hook("workflow_job", "workflow_run")
    run_one(fleet)
    assert told(fleet.sent()) == [
        ("requested", "workflow_run"),
        ("queued", "workflow_job"),
        ("in_progress", "workflow_job"),
        ("in_progress", "workflow_run"),
        ("completed", "workflow_job"),
        ("completed", "workflow_run"),
    ]


def test_an_organisation_hook_hears_of_all_repositories_and_nobody_of_events_not_asked_for(fleet, make_job):
    fleet.hook("workflow_run", scope="acme")
    fleet.hook("push")
    fleet.run(make_job("a"), repository="acme/other")
    sent = fleet.sent()
    assert told(sent) == [("requested", "workflow_run")]
    assert sent[0].headers["X-GitHub-Hook-Installation-Target-Type"] == "organization"


def test_deliveries_are_signed_and_their_guids_carry_ascending_times(fleet):
    fleet.hook()
    run_one(fleet)
    sent = fleet.sent()
    for one in sent:
        expected = hmac.new(b"s3cret", one.body, hashlib.sha256).hexdigest()
        assert one.headers["X-Hub-Signature-256"] == f"sha256={expected}"
        assert one.headers["X-Hub-Signature"].startswith("sha1=")
        assert one.headers["User-Agent"].startswith("GitHub-Hookshot/")
    guids = [uuid.UUID(one.headers["X-GitHub-Delivery"]) for one in sent]
    assert [guid.version for guid in guids] == [1, 1, 1]
    assert guids[0].time < guids[1].time < guids[2].time
    seconds = (guids[0].time - 0x01B21DD213814000) / 1e7
    assert abs(seconds - fleet.clock.now().timestamp()) < 1


def test_while_queued_started_equals_created_and_there_is_no_runner(fleet):
    fleet.hook()
    (made,) = fleet.run()
    fleet.pass_time(5)
    listener = fleet.listener()
    listener.take()
    queued, running = (json.loads(one.body)["workflow_job"] for one in fleet.sent())
    assert queued["started_at"] == queued["created_at"] and queued["runner_id"] is None
    assert queued["runner_group_name"] is None and queued["steps"] == []
    assert running["started_at"] != running["created_at"] and running["runner_name"] == listener.runner.name
    assert running["id"] == made.id and running["status"] == "in_progress"


def test_a_payload_tells_what_was_true_when_it_was_made(fleet):
    fleet.hook()
    run_one(fleet)
    assert [json.loads(one.body)["workflow_job"]["status"] for one in fleet.sent()] == [
        "queued",
        "in_progress",
        "completed",
    ]


def test_a_gate_is_told_as_queued_waiting_queued(fleet, make_job):
    fleet.hook()
    (gated,) = fleet.run(make_job("ship", gate=True))
    fleet.pass_time(10)
    fleet.github.runs.release_gate(gated)
    bodies = [json.loads(one.body) for one in fleet.sent()]
    assert [(body["action"], body["workflow_job"]["status"]) for body in bodies] == [
        ("queued", "queued"),
        ("waiting", "waiting"),
        ("queued", "queued"),
    ]
    assert len({body["workflow_job"]["started_at"] for body in bodies}) == 1
    assert "deployment" not in bodies[0]
    assert bodies[1]["deployment"]["updated_at"] < bodies[2]["deployment"]["updated_at"]


def test_a_lost_delivery_is_in_the_log_and_comes_with_its_guid_when_asked_for_again(fleet):
    hook = fleet.hook()
    fleet.github.faults.add(FaultSpec(kind="delivery_lost", match=Match(action="queued"), count=1))
    fleet.run()
    assert fleet.sent() == []
    (lost,) = fleet.github.hooks.log_of(hook)
    assert lost.status_code == 502
    fleet.github.hooks.redeliver(hook, lost.id)
    (again,) = fleet.sent()
    assert again.headers["X-GitHub-Delivery"] == lost.delivery.guid
    assert [(send.redelivery, send.status_code) for send in fleet.github.hooks.log_of(hook)] == [
        (True, 202),
        (False, 502),
    ]
    fleet.run()
    assert actions(fleet.sent()) == ["queued"]


def test_a_delivery_never_created_is_in_no_log(fleet):
    hook = fleet.hook()
    fleet.github.faults.add(FaultSpec(kind="delivery_never_created"))
    (made,) = fleet.run()
    assert fleet.sent() == [] and fleet.github.hooks.log_of(hook) == []
    assert fleet.github.truth()["never_created"][0]["job"] == made.id


def test_a_doubled_delivery_comes_twice_with_one_guid(fleet):
    fleet.hook()
    fleet.github.faults.add(FaultSpec(kind="delivery_doubled", seconds=3))
    fleet.run()
    (first,) = fleet.sent()
    fleet.pass_time(3)
    (second,) = fleet.sent()
    assert first.body == second.body and first.headers == second.headers


def test_a_delayed_delivery_comes_late(fleet):
    fleet.hook()
    fleet.github.faults.add(FaultSpec(kind="delivery_delayed", match=Match(job="te*"), seconds=100))
    fleet.run()
    fleet.pass_time(99)
    assert fleet.sent() == []
    fleet.pass_time(1)
    assert actions(fleet.sent()) == ["queued"]


def test_a_reordered_delivery_comes_after_later_ones(fleet):
    fleet.hook()
    fleet.github.faults.add(FaultSpec(kind="delivery_reordered", match=Match(action="queued"), count=1))
    made = run_one(fleet)
    fleet.github.runs.rerun(made.run)
    order = actions(fleet.sent())
    assert order[0] == "in_progress" and order.count("queued") == 2 and len(order) == 4


def test_a_reordered_delivery_comes_by_itself_when_nothing_follows(fleet):
    fleet.hook()
    fleet.github.faults.add(FaultSpec(kind="delivery_reordered"))
    fleet.run()
    assert fleet.sent() == []
    fleet.pass_time(5)
    assert actions(fleet.sent()) == ["queued"]


def test_probability_strikes_about_as_often_as_it_says(fleet):
    hook = fleet.hook()
    fleet.github.faults.add(FaultSpec(kind="delivery_lost", match=Match(probability=0.3)))
    for _ in range(400):
        fleet.run()
    lost = 400 - len(fleet.sent())
    assert 80 < lost < 160
    assert sum(send.status_code == 502 for send in fleet.github.hooks.log_of(hook)) == lost


def test_deliveries_are_kept_for_three_days(fleet):
    hook = fleet.hook()
    fleet.run()
    (sent,) = fleet.sent()
    fleet.pass_time(259_201)
    assert fleet.github.hooks.log_of(hook) == []
    with pytest.raises(ApiError) as refusal:
        fleet.github.hooks.redeliver(hook, sent.send)
    assert refusal.value.status == 404


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (FaultSpec(kind="delivery_eaten"), "delivery_lost"),
        (FaultSpec(kind="delivery_lost", count=0), "count"),
        (FaultSpec(kind="delivery_lost", seconds=-1), "seconds"),
        (FaultSpec(kind="delivery_lost", match=Match(probability=2)), "probability"),
        (FaultSpec(kind="delivery_lost", match=Match(endpoint="x")), "endpoint"),
        (FaultSpec(kind="api_error", status=200), "status"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_a_sentence(fleet, spec, words):
    with pytest.raises(ApiError) as refusal:
        fleet.github.faults.add(spec)
    assert refusal.value.status == 422 and words in refusal.value.message
