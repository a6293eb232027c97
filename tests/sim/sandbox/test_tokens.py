"""Personal tokens: scopes, fine-grained permissions, expiry; and who is let in when nothing is registered."""

from tests.support.sandbox_api import through

JIT = {"name": "r1", "runner_group_id": 1, "labels": ["self-hosted"]}


def test_any_token_is_let_in_until_one_is_registered():
    async def story(caller):
        await caller.control("repositories", {"repository": "acme/app"})
        assert (await caller.ask("GET", "/repos/acme/app", token="whatever")).status == 200
        await caller.control("tokens", {"token": "known", "scopes": ["repo"]})
        assert (await caller.ask("GET", "/repos/acme/app", token="whatever")).status == 401
        known = await caller.ask("GET", "/repos/acme/app", token="known")
        assert known.status == 200 and known.headers["x-oauth-scopes"] == "repo"
        assert (await caller.ask("GET", "/user", token="known")).body["login"] == "octocat"

    through(story)


def test_a_classic_token_does_what_its_scopes_say():
    async def story(caller):
        ask = caller.ask
        await caller.control("repositories", {"repository": "acme/app"})
        await caller.control("tokens", {"token": "repo", "scopes": ["repo"]})
        await caller.control("tokens", {"token": "none", "login": "other", "scopes": []})
        await caller.control("tokens", {"token": "org", "scopes": ["admin:org"]})
        repo, org = "/repos/acme/app/actions/runners", "/orgs/acme/actions/runners"
        assert (await ask("GET", repo, token="repo")).status == 200
        assert (await ask("GET", repo, token="none")).status == 404
        refused = await ask("POST", f"{org}/generate-jitconfig", JIT, token="repo")
        assert refused.status == 403 and refused.headers["x-accepted-oauth-scopes"] == "admin:org"
        assert (await ask("POST", f"{org}/generate-jitconfig", JIT, token="org")).status == 201
        assert (await ask("GET", "/repos/acme/app/hooks", token="repo")).status == 200
        await caller.control("repositories", {"repository": "acme/app", "private": False})
        assert (await ask("GET", "/repos/acme/app", token="none")).status == 200
        assert (await ask("GET", repo, token="none")).status == 403

    through(story)


def test_a_fine_grained_token_has_permissions_repositories_and_an_end():
    async def story(caller):
        ask = caller.ask
        for name in ("acme/app", "acme/other"):
            await caller.control("repositories", {"repository": name})
        token = {
            "token": "fine",
            "permissions": {"actions": "read"},
            "repositories": ["acme/app"],
            "expires_in_s": 3600,
        }
        await caller.control("tokens", token)
        told = await ask("GET", "/repos/acme/app/actions/runs", token="fine")
        assert told.status == 200 and "x-oauth-scopes" not in told.headers
        assert told.headers["github-authentication-token-expiration"] == "2026-01-01 01:00:00 UTC"
        assert (await ask("GET", "/repos/acme/other/actions/runs", token="fine")).status == 404
        refused = await ask("GET", "/repos/acme/app/actions/runners", token="fine")
        assert refused.status == 403 and "personal access token" in refused.body["message"]
        caller.clock.advance(3600)
        assert (await ask("GET", "/repos/acme/app", token="fine")).status == 401
        await caller.control("tokens", {**token, "expires_in_s": None, "revoked": True})
        assert (await ask("GET", "/repos/acme/app", token="fine")).status == 401

    through(story)


def test_a_token_without_sense_is_refused():
    async def story(caller):
        for body, words in (
            ({"token": "x"}, "scopes"),
            ({"token": "x", "scopes": [], "permissions": {}}, "scopes"),
            ({"token": "x", "permissions": {"actions": "all"}}, "actions"),
        ):
            told = await caller.ask("POST", "/_sandbox/tokens", body)
            assert told.status == 422 and words in told.body["message"]
        told = await caller.ask("POST", "/_sandbox/tokens/end", {"installation": 4})
        assert told.status == 404

    through(story)


def test_the_repositories_of_an_organisation_that_the_caller_may_see():
    async def story(caller):
        for name in ("acme/app", "acme/other", "elsewhere/x"):
            await caller.control("repositories", {"repository": name})
        assert (await caller.ask("GET", "/meta", headers={"authorization": ""})).status == 200
        listed = (await caller.ask("GET", "/orgs/acme/repos")).body
        assert [one["name"] for one in listed] == ["app", "other"]
        assert (await caller.ask("GET", "/orgs/acme/repos", query={"type": "public"})).body == []
        app, installation = await caller.installed({"actions": "read"}, repositories=["other"])
        token = await caller.installation_token(app, installation)
        listed = (await caller.ask("GET", "/orgs/acme/repos", token=token)).body
        assert [one["name"] for one in listed] == ["other"]
        assert (await caller.ask("GET", "/orgs/elsewhere/repos", token=token)).status == 404

    through(story)
