"""Every kind of webhook that the sandbox sends fits npm's `@octokit/webhooks-schemas`."""

import ast
import functools
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

import andon.sim.sandbox
from andon.sim.sandbox.control import post
from tests.contract.npm_packages import package
from tests.sim.sandbox.conftest import Fleet, job

SENT_BY_THE_STORY = {
    ("ping", None),
    ("workflow_job", "queued"),
    ("workflow_job", "waiting"),
    ("workflow_job", "in_progress"),
    ("workflow_job", "completed"),
    ("workflow_run", "requested"),
    ("workflow_run", "in_progress"),
    ("workflow_run", "completed"),
    ("repository", "publicized"),
    ("repository", "privatized"),
}


@functools.cache
def definitions() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((package("@octokit/webhooks-schemas") / "schema.json").read_bytes())[
        "definitions"
    ]
    return found


def mismatches(event: str, payload: dict[str, Any]) -> list[str]:
    name = f"{event}${payload.get('action', 'event')}"
    if name not in definitions():
        return [f"{name}: no such event and action is published"]
    validator = Draft7Validator({"$ref": f"#/definitions/{name}", "definitions": definitions()})
    return [f"{name} {list(error.absolute_path)}: {error.message[:200]}" for error in validator.iter_errors(payload)]


def a_full_story(**more: Any) -> list[tuple[str, dict[str, Any]]]:
    """Hooks of a repository and of an organisation hear of runs that succeed, fail, wait, are cancelled and rerun."""
    fleet = Fleet()
    for scope in ("acme/app", "acme"):
        hook = fleet.hook("*", scope=scope)
        fleet.github.announcements.ping(hook, fleet.world.repository("acme/app") if "/" in scope else None)
    one, gated, _, _ = fleet.run(job("one"), job("gated", gate=True), job("after", needs=("one",)), job("last"), **more)
    steps = [
        {"number": 1, "name": "Set up job", "status": "completed", "conclusion": "success",
         "started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:00:01Z"},
        {"number": 2, "name": "Run", "status": "in_progress", "conclusion": None,
         "started_at": "2026-01-01T00:00:01Z", "completed_at": None},
    ]  # fmt: skip
    listener = fleet.listener()
    taken = listener.take()
    fleet.github.execution.report_steps(listener.runner, taken.id, steps)
    listener.finish(taken)
    fleet.github.runs.release_gate(gated)
    for conclusion in ("failure", "success", "success"):
        listener = fleet.listener()
        if (message := listener.poll()) is not None:
            taken = fleet.github.execution.acquire(listener.runner, listener.session.id, message["job"]["id"])
            listener.finish(taken, conclusion)
    fleet.github.runs.rerun(one.run)
    fleet.pass_time(5)
    fleet.github.runs.cancel(one.run)
    fleet.pass_time(600)
    for private in (False, True):
        post(fleet.github, "/_sandbox/repositories", {"repository": "acme/app", "private": private})
    sent = fleet.sent()
    headers = [{name.lower(): value for name, value in dict(each.headers).items()} for each in sent]
    return [(header["x-github-event"], json.loads(each.body)) for header, each in zip(headers, sent, strict=True)]


@pytest.mark.parametrize(
    "more",
    [{}, {"event": "pull_request", "fork": "someone"}, {"event": "workflow_dispatch", "branch": "topic"}],
    ids=["push", "fork", "dispatch"],
)
def test_every_payload_fits_its_published_schema(more: dict[str, Any]) -> None:
    sent = a_full_story(**more)
    assert {(event, payload.get("action")) for event, payload in sent} == SENT_BY_THE_STORY
    found = {mismatch for event, payload in sent for mismatch in mismatches(event, payload)}
    assert found == set()


def test_the_story_holds_every_event_that_the_sandbox_can_send() -> None:
    """A kind of event that is new in the sandbox must join the story above."""
    announced: set[str] = set()
    for path in Path(andon.sim.sandbox.__path__[0]).glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in ("announce", "deliver"):
                # The event is the text that stands first after the place it concerns.
                texts = [each.value for each in call.args[:2] if isinstance(each, ast.Constant)]
                announced |= {text for text in texts if isinstance(text, str)}
    assert announced == {event for event, _ in SENT_BY_THE_STORY}


def test_a_payload_that_does_not_fit_is_found() -> None:
    event, payload = next(each for each in a_full_story() if each[0] == "workflow_job")
    assert mismatches(event, payload) == []
    assert mismatches(event, {**payload, "workflow_job": {**payload["workflow_job"], "labels": None}})
    assert mismatches(event, {name: value for name, value in payload.items() if name != "sender"})
    assert mismatches(event, {**payload, "action": "started"})
