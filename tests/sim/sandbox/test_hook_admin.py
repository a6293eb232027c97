"""Webhooks through the API: change, ping, configuration, and the log page by page."""

import json
import re

import pytest

from tests.support.sandbox_api import through

CONFIG = {"url": "http://receiver.invalid/", "content_type": "json", "secret": "s3cret"}
HOOK = {"name": "web", "active": True, "events": ["workflow_job"], "config": CONFIG}


@pytest.mark.parametrize("at", ["/repos/acme/app", "/orgs/acme"])
def test_a_hook_is_changed_and_pinged(at):
    async def story(caller):
        ask = caller.ask
        await caller.control("repositories", {"repository": "acme/app"})
        made = (await ask("POST", f"{at}/hooks", HOOK)).body
        path = f"{at}/hooks/{made['id']}"
        caller.github.hooks.take()
        changed = await ask("PATCH", path, {"add_events": ["workflow_run"], "remove_events": ["x"], "active": False})
        assert changed.body["events"] == ["workflow_job", "workflow_run"] and changed.body["active"] is False
        changed = await ask("PATCH", path, {"events": ["push"], "config": {"url": "http://new.invalid/"}})
        assert changed.body["events"] == ["push"] and changed.body["config"]["url"] == "http://new.invalid/"
        assert changed.body["config"]["secret"] == "********"
        assert (await ask("PATCH", path, {"config": {"content_type": "xml"}})).status == 422
        assert (await ask("PATCH", f"{path}/config", {"content_type": "form"})).body["content_type"] == "form"
        assert (await ask("GET", f"{path}/config")).body["url"] == "http://new.invalid/"
        await ask("PATCH", path, {"active": True, "config": {"content_type": "json", "secret": "other"}})
        assert (await ask("POST", f"{path}/pings")).status == 204
        (ping,) = caller.github.hooks.take()
        assert json.loads(ping.body)["hook_id"] == made["id"] and ping.url == "http://new.invalid/"
        assert (await ask("PATCH", f"{at}/hooks/4", {"active": True})).status == 404

    through(story)


def test_the_log_is_read_page_by_page_while_it_grows_and_forgets_after_three_days():
    async def story(caller):
        ask, github = caller.ask, caller.github
        hook = (await ask("POST", "/repos/acme/app/hooks", HOOK)).body
        log = f"/repos/acme/app/hooks/{hook['id']}/deliveries"

        async def one_run(code):
            await caller.control("runs", {"repository": "acme/app", "jobs": [{"name": "a"}]})
            for outgoing in github.hooks.take():
                github.hooks.report(outgoing.send, code, "OK", 0.1)
            caller.clock.advance(1)

        for number in range(5):
            await one_run(500 if number % 2 else 202)
        seen, query = [], {"per_page": "2"}
        while True:
            told = await ask("GET", log, query=query)
            seen += [item["id"] for item in told.body]
            await one_run(202)
            if (link := re.search(r'<([^>]+)>; rel="next"', told.headers.get("link", ""))) is None:
                break
            query = dict(pair.split("=") for pair in link[1].partition("?")[2].split("&"))
        assert len(seen) == len(set(seen)) == 6 and seen == sorted(seen, reverse=True)
        failed = (await ask("GET", log, query={"status": "failure"})).body
        assert len(failed) == 2 and {item["status_code"] for item in failed} == {500}
        assert (await ask("GET", log, query={"cursor": "v1_1"})).status == 422
        (oldest,) = [item for item in failed if item["id"] == min(each["id"] for each in failed)]
        # Failed ones are kept too, until their three days are over.
        caller.clock.advance(3 * 86_400 - 20)
        assert len((await ask("GET", log, query={"status": "failure"})).body) == 2
        again = f"{log}/{oldest['id']}/attempts"
        assert (await ask("POST", again)).status == 202
        caller.clock.advance(60)
        assert (await ask("GET", log, query={"status": "failure"})).body == []
        assert (await ask("POST", again)).status == 404

    through(story)


def test_a_repository_that_becomes_public_is_told_of():
    async def story(caller):
        await caller.control("repositories", {"repository": "acme/app"})
        await caller.ask("POST", "/repos/acme/app/hooks", {**HOOK, "events": ["repository"]})
        caller.github.hooks.take()
        for _ in range(2):
            await caller.control("repositories", {"repository": "acme/app", "private": False})
        await caller.control("repositories", {"repository": "acme/app"})
        (sent,) = caller.github.hooks.take()
        body = json.loads(sent.body)
        assert body["action"] == "publicized" and body["repository"]["private"] is False
        assert (await caller.ask("GET", "/repos/acme/app")).body["visibility"] == "public"

    through(story)
