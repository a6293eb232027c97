"""Issues, comments, pull requests and check runs over the API."""

import pytest

from tests.support.sandbox_api import through

RUN = {"repository": "acme/app", "jobs": [{"name": "build", "labels": ["self-hosted"]}]}
ISSUES = "/repos/acme/app/issues"


def test_an_issue_is_opened_changed_commented_and_closed():
    async def story(caller):
        ask = caller.ask
        await caller.control("repositories", {"repository": "acme/app"})
        made = await ask("POST", ISSUES, {"title": "Incident", "body": "x", "labels": ["andon"], "assignees": ["bob"]})
        assert made.status == 201 and (made.body["number"], made.body["state"]) == (1, "open")
        assert [label["name"] for label in made.body["labels"]] == ["andon"]
        one = f"{ISSUES}/1"
        assert (await ask("GET", one)).body == made.body
        comment = await ask("POST", f"{one}/comments", {"body": "first"})
        assert comment.status == 201
        path = f"{ISSUES}/comments/{comment.body['id']}"
        assert (await ask("PATCH", path, {"body": "second"})).body["body"] == "second"
        assert (await ask("GET", path)).body["body"] == "second"
        assert [each["body"] for each in (await ask("GET", f"{one}/comments")).body] == ["second"]
        assert (await ask("GET", one)).body["comments"] == 1
        assert [each["body"] for each in (await ask("GET", f"{ISSUES}/comments")).body] == ["second"]
        closed = await ask("PATCH", one, {"state": "closed", "state_reason": "not_planned"})
        assert closed.body["closed_at"] and closed.body["state_reason"] == "not_planned"
        assert (await ask("GET", ISSUES)).body == []
        assert len((await ask("GET", ISSUES, query={"state": "all", "labels": "Andon"})).body) == 1
        assert (await ask("GET", ISSUES, query={"state": "all", "labels": "other"})).body == []
        assert (await ask("PATCH", one, {"state": "open"})).body["closed_at"] is None
        assert (await ask("DELETE", path)).status == 204
        assert (await ask("GET", path)).status == 404
        assert (await ask("GET", f"{ISSUES}/7")).status == 404

    through(story)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"),
        ({"title": ""}, "title"),
        ({"title": "x" * 257}, "title"),
        ({"title": "x", "body": "y" * 65_537}, "body"),
    ],
)
def test_what_github_refuses_of_an_issue(body, field):
    async def story(caller):
        await caller.control("repositories", {"repository": "acme/app"})
        told = await caller.ask("POST", ISSUES, body)
        assert told.status == 422 and told.body["errors"][0]["field"] == field

    through(story)


def test_a_body_may_have_65536_characters_whatever_their_bytes():
    async def story(caller):
        await caller.control("repositories", {"repository": "acme/app"})
        assert (await caller.ask("POST", ISSUES, {"title": "x", "body": "é" * 65_536})).status == 201
        one = f"{ISSUES}/1"
        assert (await caller.ask("PATCH", one, {"body": "y" * 65_537})).status == 422
        assert (await caller.ask("POST", f"{one}/comments", {"body": "y" * 65_537})).status == 422
        assert (await caller.ask("POST", f"{one}/comments", {"body": " "})).status == 422

    through(story)


def test_a_pull_request_is_made_by_control_read_and_merged():
    async def story(caller):
        ask = caller.ask
        made = await caller.control("pulls", {"repository": "acme/app", "title": "Fix", "head": "fix", "fork": True})
        await ask("POST", ISSUES, {"title": "Numbered together"})
        second = await caller.control("pulls", {"repository": "acme/app"})
        assert (made["number"], second["number"]) == (1, 3)
        path = "/repos/acme/app/pulls"
        shown = (await ask("GET", f"{path}/1")).body
        assert shown["merged"] is False and shown["head"]["repo"]["full_name"] == "octocat-fork/app"
        assert [each["number"] for each in (await ask("GET", path)).body] == [3, 1]
        merged = await caller.control("pulls", {"repository": "acme/app", "number": 1, "merged_by": "ann"})
        shown = (await ask("GET", f"{path}/1")).body
        assert shown["merged_by"]["login"] == "ann" and shown["merge_commit_sha"] == merged["merge_commit_sha"]
        assert shown["merged_at"] and shown["state"] == "closed"
        assert [each["number"] for each in (await ask("GET", path, query={"state": "closed"})).body] == [1]
        of_commit = await ask("GET", f"/repos/acme/app/commits/{merged['merge_commit_sha']}/pulls")
        assert [each["number"] for each in of_commit.body] == [1]
        again = await ask("POST", "/_sandbox/pulls", {"repository": "acme/app", "number": 1, "merged_by": "ann"})
        assert again.status == 409
        assert (await ask("GET", f"{path}/2")).status == 404

    through(story)


def test_each_job_has_a_check_run_and_apps_make_their_own():
    async def story(caller):
        ask = caller.ask
        made = await caller.control("runs", {**RUN, "sha": "a" * 40, "branch": "main"})
        job_id = made["jobs"][0]
        checks = "/repos/acme/app/check-runs"
        (listed,) = (await ask("GET", f"/repos/acme/app/commits/{'a' * 40}/check-runs")).body["check_runs"]
        job = (await ask("GET", f"/repos/acme/app/actions/jobs/{job_id}")).body
        assert (listed["id"], listed["node_id"], listed["status"]) == (job_id, job["node_id"], "queued")
        assert (await ask("GET", f"{checks}/{job_id}")).body == listed
        assert (await ask("POST", checks, {"name": "andon", "head_sha": "a" * 40})).status == 403
        app, installation = await caller.installed({"checks": "write"})
        token = await caller.installation_token(app, installation)
        new = {"name": "andon", "head_sha": "a" * 40, "output": {"title": "t", "summary": "s"}}
        own = await ask("POST", checks, new, token=token)
        assert own.status == 201 and own.body["app"]["slug"] == "andon" and own.body["status"] == "queued"
        path = f"{checks}/{own.body['id']}"
        done = await ask("PATCH", path, {"conclusion": "success"}, token=token)
        assert (done.body["status"], done.body["output"]["title"]) == ("completed", "t")
        assert (await ask("PATCH", path, {"conclusion": "good"}, token=token)).status == 422
        assert (await ask("PATCH", f"{checks}/{job_id}", {"conclusion": "success"}, token=token)).status == 404
        path = "/repos/acme/app/commits/main/check-runs"
        assert (await ask("GET", path, token=token)).body["total_count"] == 2
        (found,) = (await ask("GET", path, token=token, query={"check_name": "andon"})).body["check_runs"]
        assert found["id"] == own.body["id"]

    through(story)
