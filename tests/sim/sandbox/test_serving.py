"""The sandbox over real sockets: long polls, deliveries, scripts, start and stop."""

import asyncio
import json
import random

import pytest

from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused
from andon.runtime.http_client import HttpClient, Unreachable
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.server import serve_sandbox, serving

RUN = {"repository": "acme/app", "jobs": [{"name": "build", "labels": ["self-hosted"]}]}
HOOK = {"events": ["workflow_job"], "config": {"url": "http://receiver.invalid/", "content_type": "json"}}
PATIENCE_S = 20


def through(story, *, deliver=None):
    async def tell():
        github = SandboxGitHub(SystemClock(), random.Random(1))
        async with asyncio.timeout(PATIENCE_S), serving(github, deliver=deliver) as url:
            client = HttpClient(url, token="t0ken", timeout=PATIENCE_S)
            try:
                await story(github, client)
            finally:
                await client.close()

    asyncio.run(tell())


async def ask(client, method, path, body=None, headers=None):
    answer = await client.request(
        method, path, body=None if body is None else json.dumps(body).encode(), headers=headers
    )
    return answer.status, json.loads(answer.body) if answer.body else None


def listener_of(github):
    runner = github.runners.register("acme/app", name=f"r{len(github.world.runners)}", labels=("self-hosted",))
    return {"authorization": f"Bearer {runner.token}"}, runner


def test_a_held_poll_hears_of_a_job_at_once():
    async def story(github, client):
        github.world.make_repository("acme/app")
        headers, runner = listener_of(github)
        _, opened = await ask(client, "POST", "/_runner/sessions", {}, headers)
        path = f"/_runner/sessions/{opened['session']}/message"
        assert (await ask(client, "GET", f"{path}?wait_s=0.01", headers=headers))[0] == 204
        poll = asyncio.ensure_future(ask(client, "GET", f"{path}?wait_s=50", headers=headers))
        seen = runner.session.nudge.version
        await runner.session.nudge.wait_beyond(seen)
        made = (await ask(client, "POST", "/_sandbox/runs", RUN))[1]
        status, message = await poll
        assert status == 200 and message["job"]["id"] == made["jobs"][0]
        assert message["job"]["server_url"] == client.base_url

    through(story)


def test_a_newer_poll_ends_an_older_one_and_stopping_ends_both():
    held = []

    async def story(github, client):
        github.world.make_repository("acme/app")
        headers, runner = listener_of(github)
        _, opened = await ask(client, "POST", "/_runner/sessions", {}, headers)
        path = f"/_runner/sessions/{opened['session']}/message?wait_s=50"
        older = asyncio.ensure_future(ask(client, "GET", path, headers=headers))
        await runner.session.nudge.wait_beyond(runner.session.nudge.version)
        held.append(asyncio.ensure_future(ask(client, "GET", path, headers=headers)))
        assert (await older)[0] == 204
        assert not held[0].done()
        github.close()
        assert (await held[0])[0] == 204

    through(story)


def test_a_poll_whose_caller_hung_up_swallows_no_job():
    async def story(github, client):
        github.world.make_repository("acme/app")
        headers, runner = listener_of(github)
        _, opened = await ask(client, "POST", "/_runner/sessions", {}, headers)
        session = runner.session
        poll = asyncio.ensure_future(
            ask(client, "GET", f"/_runner/sessions/{opened['session']}/message?wait_s=50", headers=headers)
        )
        await session.nudge.wait_beyond(session.nudge.version)
        poll.cancel()
        while session.polls_held:
            await ask(client, "GET", "/_sandbox/faults")
        await ask(client, "POST", "/_sandbox/runs", RUN)
        assert runner.assigned is not None and runner.assigned.assignment.delivered is False

    through(story)


def test_deliveries_go_out_and_failures_are_noted():
    got = asyncio.Queue()

    async def deliver(url, headers, body):
        await got.put((url, headers["X-GitHub-Event"]))
        if headers["X-GitHub-Event"] == "ping":
            raise Unreachable("nobody there")
        return 202

    async def story(github, client):
        _, hook = await ask(client, "POST", "/repos/acme/app/hooks", HOOK)
        assert await got.get() == ("http://receiver.invalid/", "ping")
        fault = {"kind": "delivery_doubled", "seconds": 0.01}
        await ask(client, "POST", "/_sandbox/faults", fault)
        await ask(client, "POST", "/_sandbox/runs", RUN)
        assert [await got.get() for _ in range(2)] == [("http://receiver.invalid/", "workflow_job")] * 2
        seen = github.changed.version
        while len(log := (await ask(client, "GET", f"/repos/acme/app/hooks/{hook['id']}/deliveries"))[1]) < 3:
            await github.changed.wait_beyond(seen)
            seen = github.changed.version
        assert sorted(item["status_code"] for item in log) == [202, 202, 502]

    through(story, deliver=deliver)


def test_a_delivery_over_http_carries_its_headers_and_body():
    got = asyncio.Queue()

    async def receive(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await got.put((head, json.loads(body)))

    async def story(github, client):
        receiver = await asyncio.start_server(receive, "127.0.0.1", 0)
        try:
            port = receiver.sockets[0].getsockname()[1]
            config = {"url": f"http://127.0.0.1:{port}/hook", "content_type": "json", "secret": "k"}
            await ask(client, "POST", "/repos/acme/app/hooks", {**HOOK, "config": config})
            head, body = await got.get()
            assert head.startswith("post /hook http/1.1") and "x-github-event: ping" in head
            assert "x-hub-signature-256: sha256=" in head and "user-agent: github-hookshot/sandbox" in head
            assert head.count("content-type:") == 1 and body["zen"]
        finally:
            receiver.close()
            await receiver.wait_closed()

    through(story)


def test_real_time_cannot_be_moved():
    async def story(github, client):
        status, error = await ask(client, "POST", "/_sandbox/clock", {"advance_s": 1})
        assert status == 409 and "virtual" in error["message"]

    through(story)


def serve(tmp_path, script, *, port=0, during=None):
    path = tmp_path / "script.toml"
    path.write_text(script)
    urls = []

    async def tell():
        stop = asyncio.Event()
        announced = asyncio.Event()

        def announce(url):
            urls.append(url)
            announced.set()

        async with asyncio.timeout(PATIENCE_S):
            running = asyncio.ensure_future(
                serve_sandbox(
                    clock=SystemClock(), chance=random.Random(1), announce=announce, stop=stop, script=path, port=port
                )
            )
            waiting = asyncio.ensure_future(announced.wait())
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if during is not None and not running.done():
                await during(urls[0])
            stop.set()
            await running

    asyncio.run(tell())
    return urls


def test_a_script_is_played(tmp_path):
    async def during(url):
        client = HttpClient(url)
        try:
            while not (await ask(client, "GET", "/_sandbox/truth"))[1]["jobs"]:
                pass
        finally:
            await client.close()

    script = '[[call]]\nat_s = 0.02\npost = "/_sandbox/runs"\nbody = {repository = "acme/app", jobs = [{name = "a"}]}\n'
    (url,) = serve(tmp_path, script, during=during)
    assert url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('[[call]]\nat_s = 1\npost = "/_sandbox/none"\n', ":1: /_sandbox/none is no control endpoint"),
        ('\n[[call]]\nat_s = -1\npost = "/_sandbox/runs"\n', ":2: at_s"),
        ('[[call]]\nat_s = 1\npots = "x"\n', "pots"),
        ('[[call]]\nat_s = 1\npost = "/_sandbox/runs"\nbody = {repository = "a"}\n', ":1: POST /_sandbox/runs"),
    ],
)
def test_a_bad_script_is_refused_with_its_line(tmp_path, script, words):
    with pytest.raises(Refused, match=words):
        serve(tmp_path, script)


def test_a_port_in_use_is_refused_with_a_sentence(tmp_path):
    async def during(url):
        with pytest.raises(Refused, match="--listen"):
            async with serving(SandboxGitHub(SystemClock(), random.Random(1)), port=int(url.rpartition(":")[2])):
                pass

    serve(tmp_path, "", during=during)
