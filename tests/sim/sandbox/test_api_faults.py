"""What befalls API calls on purpose, one test a kind (`api_error` and `api_reply_lost` also in test_http)."""

import json

import pytest

from tests.support.sandbox_api import through

JIT = {"name": "r1", "runner_group_id": 1, "labels": ["self-hosted"]}
MINT = "/repos/acme/app/actions/runners/generate-jitconfig"
APP = "/repos/acme/app"


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_failed_call_is_not_carried_out(status):
    async def story(caller):
        await caller.control("repositories", {"repository": "acme/app"})
        await caller.fault("api_error", status=status, match={"endpoint": "generate-jitconfig"})
        assert (await caller.ask("POST", MINT, JIT)).status == status
        assert (await caller.ask("POST", MINT, JIT)).status == 201

    through(story)


def test_a_mint_whose_reply_is_lost_meets_its_own_registration():
    async def story(caller):
        await caller.control("repositories", {"repository": "acme/app"})
        await caller.fault("mint_reply_lost")
        assert (await caller.ask("GET", APP)).status == 200
        assert (await caller.ask("POST", MINT, JIT)).status == 504
        again = await caller.ask("POST", MINT, JIT)
        assert again.status == 409 and "name already exists" in again.body["message"]
        truth = await caller.truth()
        assert [each["outcome"] for each in truth["registrations"]] == ["registered", "refused: the name exists"]

    through(story)


def test_an_answer_breaks_off_in_the_middle_though_the_call_was_carried_out():
    async def story(caller):
        await caller.control("repositories", {"repository": "acme/app"})
        await caller.fault("api_malformed", match={"endpoint": "generate-jitconfig"})
        told = await caller.ask("POST", MINT, JIT)
        assert told.status == 201 and isinstance(told.body, bytes) and told.body.startswith(b"{")
        with pytest.raises(ValueError, match=r"."):
            json.loads(told.body)
        assert (await caller.ask("POST", MINT, JIT)).status == 409
        caller.mismatches.clear()

    through(story)


def test_the_token_of_an_installation_expires_before_its_time_and_another_does_not():
    async def story(caller):
        app, installation = await caller.installed({"actions": "read"})
        await caller.control("repositories", {"repository": "acme/app"})
        token = await caller.installation_token(app, installation)
        await caller.fault("api_token_expired")
        statuses = [(await caller.ask("GET", APP, token=token)).status for _ in range(2)]
        assert statuses == [401, 401]
        fresh = await caller.installation_token(app, installation)
        assert (await caller.ask("GET", APP, token=fresh)).status == 200
        await caller.control("tokens", {"token": "pat", "scopes": ["repo"]})
        await caller.fault("api_token_expired")
        assert [(await caller.ask("GET", APP, token="pat")).status for _ in range(2)] == [401, 200]

    through(story)


def test_an_api_fault_takes_no_job_and_a_job_fault_no_endpoint():
    async def story(caller):
        for body, words in (
            ({"kind": "worker_hangs", "match": {"endpoint": "x"}}, "endpoint"),
            ({"kind": "worker_hangs", "status": 500}, "status"),
            ({"kind": "assignment_lost", "status": 500}, "404 or 409"),
            ({"kind": "delivery_lost", "status": 500}, "status"),
        ):
            told = await caller.ask("POST", "/_sandbox/faults", body)
            assert told.status == 422 and words in told.body["message"]
        kinds = {each["kind"]: each for each in (await caller.ask("GET", "/_sandbox/faults")).body["kinds"]}
        assert kinds["worker_hangs"]["befalls"] == "job" and kinds["worker_hangs"]["explanation"]

    through(story)
