"""GitHub's API as a client sees it, in process."""

import asyncio
import json
import random

import httpx2
import pytest

from andon.runtime.http_client import HttpClient
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.virtual_time import VirtualClock
from tests.support.contract_watch import watched

RUN = {"repository": "acme/app", "jobs": [{"name": "build", "labels": ["self-hosted", "rust"]}]}
JIT = {"name": "r1", "runner_group_id": 1, "labels": ["self-hosted", "rust"]}


class Caller:
    """Asks a sandbox in process; keeps what the tests look at."""

    def __init__(self, **options):
        self.clock = VirtualClock()
        self.github = SandboxGitHub(self.clock, random.Random(1), **options)
        transport = httpx2.ASGITransport(app=watched(self.github))
        self.client = HttpClient("http://sandbox", token="t0ken", transport=transport)

    async def ask(self, method, path, body=None, *, query=None, headers=None):
        answer = await self.client.request(
            method, path, body=None if body is None else json.dumps(body).encode(), query=query, headers=headers
        )
        return (
            answer.status,
            json.loads(answer.body) if answer.body[:1] in (b"{", b"[") else answer.body,
            answer.headers,
        )


def through(story, **options):
    async def tell():
        caller = Caller(**options)
        try:
            await story(caller)
        finally:
            await caller.client.close()

    asyncio.run(tell())


def test_a_job_from_run_to_log():
    async def story(caller):
        ask = caller.ask
        status, made, _ = await ask("POST", "/_sandbox/runs", RUN)
        assert status == 201
        run, (job_id,) = made["run_id"], made["jobs"]
        job_path = f"/repos/acme/app/actions/jobs/{job_id}"
        status, minted, _ = await ask("POST", "/repos/acme/app/actions/runners/generate-jitconfig", JIT)
        assert status == 201 and minted["runner"]["status"] == "offline"
        assert (await ask("POST", "/repos/acme/app/actions/runners/generate-jitconfig", JIT))[0] == 409
        token = next(iter(caller.github.world.runner_by_token))
        as_runner = {"authorization": f"Bearer {token}"}

        async def runner(method, path, body=None):
            return await ask(method, f"/_runner{path}", body, headers=as_runner)

        status, opened, _ = await runner("POST", "/sessions", {"version": "2.336.0", "os": "linux"})
        assert status == 201
        session = f"/sessions/{opened['session']}"
        status, message, _ = await runner("GET", f"{session}/message?wait_s=0")
        assert status == 200 and message["job"]["id"] == job_id and message["kind"] == "job"
        assert (await runner("POST", f"{session}/acquire", {"job_id": job_id}))[0] == 200
        assert (await ask("GET", f"{job_path}/logs"))[0] == 404
        status, shown, _ = await ask("GET", "/repos/acme/app/actions/runs", query={"status": "in_progress"})
        assert [run["id"] for run in shown["workflow_runs"]] == [run] and shown["total_count"] == 1
        status, listed, _ = await ask("GET", "/repos/acme/app/actions/runners", query={"name": "r1"})
        assert listed["runners"][0]["busy"] is True
        assert (await ask("DELETE", f"/repos/acme/app/actions/runners/{minted['runner']['id']}"))[0] == 422
        step = {"number": 1, "name": "Run", "status": "completed", "conclusion": "success"}
        assert (await runner("PATCH", f"/jobs/{job_id}/steps", {"session": "x", "steps": [step]}))[0] == 204
        assert (await runner("POST", f"/jobs/{job_id}/renew", {"session": "x"}))[0] == 200
        assert (await runner("PUT", f"/jobs/{job_id}/log", {"not": "json, but text"}))[0] == 204
        assert (await runner("POST", f"/jobs/{job_id}/complete", {"conclusion": "success", "steps": [step]}))[0] == 204
        assert (await runner("DELETE", session))[0] == 204
        assert (await runner("POST", "/sessions", {}))[0] == 401
        status, job, _ = await ask("GET", job_path)
        assert (job["status"], job["conclusion"], job["runner_name"]) == ("completed", "success", "r1")
        assert job["steps"] == [step]
        status, _, headers = await ask("GET", f"{job_path}/logs")
        assert status == 302 and headers["location"].startswith("http://sandbox/_logs/")
        assert (await ask("GET", headers["location"]))[1] == {"not": "json, but text"}
        caller.clock.advance(60)
        assert (await ask("GET", headers["location"]))[0] == 403
        assert (await ask("POST", f"/repos/acme/app/actions/runs/{run}/rerun"))[0] == 201
        assert (await ask("POST", f"/repos/acme/app/actions/runs/{run}/rerun"))[0] == 403
        assert (await ask("POST", f"/repos/acme/app/actions/runs/{run}/cancel"))[0] == 202
        assert (await ask("POST", f"/repos/acme/app/actions/runs/{run}/cancel"))[0] == 409
        status, jobs, _ = await ask("GET", f"/repos/acme/app/actions/runs/{run}/jobs", query={"filter": "all"})
        assert [job["run_attempt"] for job in jobs["jobs"]] == [1, 2]
        status, jobs, _ = await ask("GET", f"/repos/acme/app/actions/runs/{run}/attempts/1/jobs")
        assert [job["id"] for job in jobs["jobs"]] == [job_id]
        truth = (await ask("GET", "/_sandbox/truth"))[1]
        assert truth["calls"]["POST /repos/{owner}/{repo}/actions/runners/generate-jitconfig 201"] == 1
        assert truth["runners"][0]["jobs_served"] == 1 and token not in json.dumps(truth)

    through(story)


def test_the_job_has_exactly_the_fields_of_the_contract():
    fields = """id run_id run_attempt run_url node_id head_sha head_branch workflow_name name url html_url check_run_url
        status conclusion created_at started_at completed_at labels steps runner_id runner_name runner_group_id
        runner_group_name"""

    async def story(caller):
        made = (await caller.ask("POST", "/_sandbox/runs", RUN))[1]
        job = (await caller.ask("GET", f"/repos/acme/app/actions/jobs/{made['jobs'][0]}"))[1]
        assert set(job) == set(fields.split())

    through(story)


def test_callers_are_checked():
    async def story(caller):
        await caller.ask("POST", "/_sandbox/repositories", {"repository": "acme/app"})
        good = await caller.ask("GET", "/repos/ACME/App")
        assert good[0] == 200 and good[1]["full_name"] == "acme/app" and good[2]["x-ratelimit-remaining"] == "4999"
        assert good[2]["x-github-request-id"]
        status, error, _ = await caller.ask("GET", "/repos/acme/app", headers={"authorization": ""})
        assert status == 401 and set(error) == {"message", "documentation_url", "status"}
        assert (await caller.ask("GET", "/repos/acme/app", headers={"authorization": "token x"}))[0] == 200
        odd = {"x-github-api-version": "1999-01-01"}
        assert (await caller.ask("GET", "/repos/acme/app", headers=odd))[0] == 400
        assert (await caller.ask("GET", "/repos/acme/none"))[0] == 404
        assert (await caller.ask("GET", "/nothing"))[1]["message"] == "Not Found"
        same = await caller.ask("GET", "/repos/acme/app", headers={"if-none-match": good[2]["etag"]})
        assert same[0] == 304 and same[1] == b""

    async def exact(caller):
        assert (await caller.ask("GET", "/repos/acme/app"))[0] == 401

    through(story)
    through(exact, accepted_token="another")


def test_lists_come_in_pages():
    async def story(caller):
        for _ in range(5):
            await caller.ask("POST", "/_sandbox/runs", RUN)
        query = {"per_page": "2", "page": "2"}
        _, shown, headers = await caller.ask("GET", "/repos/acme/app/actions/runs", query=query)
        assert shown["total_count"] == 5 and len(shown["workflow_runs"]) == 2
        assert 'rel="next"' in headers["link"] and "page=3" in headers["link"]
        _, shown, headers = await caller.ask("GET", "/repos/acme/app/actions/runs", query={"page": "9"})
        assert shown["workflow_runs"] == []

    through(story)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({**JIT, "labels": []}, 422),
        ({"name": "x", "labels": ["a"]}, 422),
        ({**JIT, "runner_group_id": 5}, 404),
        ({**JIT, "runner_group_id": "one"}, 422),
    ],
)
def test_bad_jit_requests_are_refused(body, status):
    async def story(caller):
        await caller.ask("POST", "/_sandbox/repositories", {"repository": "acme/app"})
        assert (await caller.ask("POST", "/repos/acme/app/actions/runners/generate-jitconfig", body))[0] == status
        assert (await caller.ask("POST", "/repos/acme/none/actions/runners/generate-jitconfig", JIT))[0] == 404

    through(story)


def test_api_faults_hit_what_they_name():
    async def story(caller):
        ask = caller.ask
        await ask("POST", "/_sandbox/repositories", {"repository": "acme/app"})
        mint = "/repos/acme/app/actions/runners/generate-jitconfig"
        fault = {
            "kind": "api_error",
            "match": {"endpoint": "generate-jitconfig"},
            "count": 1,
            "status": 429,
            "seconds": 7,
        }
        assert (await ask("POST", "/_sandbox/faults", fault))[0] == 201
        assert (await ask("GET", "/repos/acme/app"))[0] == 200
        status, _, headers = await ask("POST", mint, JIT)
        assert status == 429 and headers["retry-after"] == "7"
        # The reply is lost, the call was carried out: the retry meets its own registration.
        await ask(
            "POST", "/_sandbox/faults", {"kind": "api_reply_lost", "match": {"endpoint": f"POST {mint}"}, "count": 1}
        )
        assert (await ask("POST", mint, JIT))[0] == 504
        assert (await ask("POST", mint, JIT))[0] == 409
        shown = (await ask("GET", "/_sandbox/faults"))[1]
        assert shown["active"] == [] and "api_slow" in {kind["kind"] for kind in shown["kinds"]}
        await ask("POST", "/_sandbox/faults", {"kind": "delivery_lost"})
        assert (await ask("DELETE", "/_sandbox/faults"))[1] == {"cleared": 1}

    through(story)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("runs", {}, "repository"),
        ("runs", {**RUN, "jobz": []}, "jobz"),
        ("runs", {**RUN, "jobs": []}, "no jobs"),
        ("runs", {**RUN, "repository": "acme"}, "owner/name"),
        ("runs", {**RUN, "jobs": [{"name": "a", "needs": ["b"]}]}, 'needs "b"'),
        ("runs", {**RUN, "jobs": [{"name": "a", "needs": ["b"]}, {"name": "b", "needs": ["a"]}]}, "circle"),
        ("runs", {**RUN, "jobs": [{"name": "a"}, {"name": "a"}]}, "Two jobs"),
        ("runs", {**RUN, "jobs": [{"name": "a", "labels": []}]}, "labels"),
        ("runs", {**RUN, "jobs": [{"name": "a", "steps": [{"uses": "x"}]}]}, "uses"),
        ("faults", {"kind": "nothing"}, "delivery_lost"),
        ("faults", {"kind": "delivery_lost", "match": {"evnt": "x"}}, "evnt"),
        ("clock", {"advance_s": -1}, "advance_s"),
    ],
)
def test_bad_control_input_is_refused_with_a_sentence(path, body, words):
    async def story(caller):
        status, error, _ = await caller.ask("POST", f"/_sandbox/{path}", body)
        assert status == 422 and words in error["message"]
        assert caller.github.world.runs == {}

    through(story)


def test_broken_json_and_unknown_controls():
    async def story(caller):
        answer = await caller.client.request("POST", "/_sandbox/runs", body=b'{"repository":')
        assert answer.status == 400
        answer = await caller.client.request("POST", "/_sandbox/runs", body=b"[" * 200_000)
        assert answer.status == 400
        assert (await caller.ask("POST", "/_sandbox/nothing", {}))[0] == 404
        assert (await caller.ask("POST", "/_sandbox/jobs/7/release_gate", {}))[0] == 404

    through(story)


def test_a_gate_is_released_and_the_clock_moved_through_control():
    async def story(caller):
        gated = {**RUN, "jobs": [{"name": "ship", "gate": True}]}
        made = (await caller.ask("POST", "/_sandbox/runs", gated))[1]
        path = f"/_sandbox/jobs/{made['jobs'][0]}/release_gate"
        assert (await caller.ask("POST", path))[1]["status"] == "queued"
        assert (await caller.ask("POST", path))[0] == 409
        before = caller.clock.now()
        assert (await caller.ask("POST", "/_sandbox/clock", {"advance_s": 90_000}))[0] == 200
        assert (caller.clock.now() - before).total_seconds() == 90_000
        truth = (await caller.ask("GET", "/_sandbox/truth"))[1]
        assert truth["jobs"][0]["conclusion"] == "cancelled"

    through(story)


def test_hooks_are_made_listed_and_their_log_read():
    async def story(caller):
        ask = caller.ask
        config = {"url": "http://receiver.invalid/", "content_type": "json", "secret": "s3cret"}
        body = {"name": "web", "active": True, "events": ["workflow_job"], "config": config}
        hooks = "/repos/acme/app/hooks"
        status, hook, _ = await ask("POST", hooks, body)
        assert status == 201 and hook["config"]["secret"] == "********"
        assert (await ask("POST", hooks, body))[0] == 422
        assert (await ask("POST", hooks, {**body, "config": {"url": "ftp://x"}}))[0] == 422
        (ping,) = caller.github.hooks.take()
        assert ping.headers["X-GitHub-Event"] == "ping" and json.loads(ping.body)["hook_id"] == hook["id"]
        caller.github.hooks.report(ping.send, 500, "Invalid HTTP Response: 500", 0.1)
        log = f"{hooks}/{hook['id']}/deliveries"
        (item,) = (await ask("GET", log, query={"status": "failure"}))[1]
        assert item["guid"] == ping.headers["X-GitHub-Delivery"] and item["status_code"] == 500
        assert (await ask("GET", log, query={"status": "success"}))[1] == []
        assert (await ask("GET", f"{log}/{item['id']}"))[1]["request"]["headers"] == ping.headers
        assert (await ask("POST", f"{log}/{item['id']}/attempts"))[0] == 202
        (again,) = caller.github.hooks.take()
        assert again.headers == ping.headers and again.body == ping.body
        assert len((await ask("GET", hooks))[1]) == 1
        assert (await ask("DELETE", f"{hooks}/{hook['id']}"))[0] == 204
        assert (await ask("GET", f"{hooks}/{hook['id']}"))[0] == 404

    through(story)


def test_runs_are_listed_by_the_time_they_were_made():
    async def story(caller):
        numbers = []
        for _ in range(3):
            _, made, _ = await caller.ask("POST", "/_sandbox/runs", RUN)
            numbers.append(made["run_id"])
            caller.clock.advance(60)
        runs = "/repos/acme/app/actions/runs"
        _, listed, _ = await caller.ask("GET", runs)
        times = {run["id"]: run["created_at"] for run in listed["workflow_runs"]}
        for sign, wanted in (("<=", numbers[:2]), ("<", numbers[:1]), (">=", numbers[1:]), (">", numbers[2:])):
            _, some, _ = await caller.ask("GET", runs, query={"created": sign + times[numbers[1]]})
            assert sorted(run["id"] for run in some["workflow_runs"]) == wanted

    through(story)
