"""Apps: their JSON web tokens, installations and tokens, what they may do, and the manifest flow."""

import json
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.sandbox_api import through

RUN = {"repository": "acme/app", "jobs": [{"name": "build", "labels": ["self-hosted"]}]}
JIT = {"name": "r1", "runner_group_id": 1, "labels": ["self-hosted"]}
MINT = "/repos/acme/app/actions/runners/generate-jitconfig"


@pytest.fixture(scope="module")
def keys():
    """A key pair that is made once: that takes a while."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode(), public.decode()


async def app_at_acme(caller, keys, permissions, **more):
    app, installation = await caller.installed(permissions, public_key=keys[1], **more)
    assert app["pem"] is None
    return {**app, "pem": keys[0]}, installation


def test_an_app_proves_itself_by_its_key_and_its_times(keys):
    async def story(caller):
        app, installation = await app_at_acme(caller, keys, {"actions": "write"})
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

        async def told(token):
            answer = await caller.ask("GET", "/app", token=token)
            return answer.status, answer.body.get("message", answer.body.get("slug"))

        number, pem = app["id"], keys[0]
        assert await told(caller.app_jwt(number, pem)) == (200, "andon")
        assert await told(caller.app_jwt(app["client_id"], pem)) == (200, "andon")
        assert await told(caller.app_jwt(number, other.decode())) == (401, "A JSON web token could not be decoded")
        assert (await told(caller.app_jwt(4, pem))) == (404, "Integration not found")
        assert "'iat'" in (await told(caller.app_jwt(number, pem, issued=30)))[1]
        assert "future time" in (await told(caller.app_jwt(number, pem, lives=0)))[1]
        assert "too far in the future" in (await told(caller.app_jwt(number, pem, lives=601)))[1]
        assert (await told(caller.app_jwt(number, pem, lives=600)))[0] == 200
        token = await caller.installation_token(app, installation)
        assert (await told(token)) == (401, "A JSON web token could not be decoded")
        await caller.control("repositories", {"repository": "acme/app"})
        refused = await caller.ask("GET", "/repos/acme/app", token=caller.app_jwt(number, pem))
        assert refused.status == 403

    through(story)


def test_installations_are_listed_and_found(keys):
    async def story(caller):
        ask = caller.ask
        await caller.control("repositories", {"repository": "acme/app"})
        await caller.control("repositories", {"repository": "acme/other"})
        app, installation = await app_at_acme(caller, keys, {"actions": "read"}, repositories=["app"])
        token = caller.app_jwt(app["id"], keys[0])
        (only,) = (await ask("GET", "/app/installations", token=token)).body
        assert only["id"] == installation and only["repository_selection"] == "selected"
        for path in (
            f"/app/installations/{installation}",
            "/repos/acme/app/installation",
            "/orgs/acme/installation",
            "/users/acme/installation",
        ):
            assert (await ask("GET", path, token=token)).body["id"] == installation
        assert (await ask("GET", "/repos/acme/other/installation", token=token)).status == 404
        assert (await ask("GET", "/orgs/nobody/installation", token=token)).status == 404
        assert (await ask("GET", "/apps/andon")).body["id"] == app["id"]
        own = await caller.installation_token(app, installation)
        listed = (await ask("GET", "/installation/repositories", token=own)).body
        assert [one["full_name"] for one in listed["repositories"]] == ["acme/app"]
        assert (await ask("DELETE", f"/app/installations/{installation}", token=token)).status == 204
        assert (await ask("GET", "/installation/repositories", token=own)).status == 401

    through(story)


def test_a_token_of_an_installation_lives_an_hour_and_does_what_was_granted(keys):
    async def story(caller):
        ask = caller.ask
        await caller.control("runs", RUN)
        app, installation = await app_at_acme(caller, keys, {"actions": "read"})
        token = await caller.installation_token(app, installation)
        assert len(token) > 100 and token.startswith("ghs_")
        assert (await ask("GET", "/repos/acme/app/actions/runs", token=token)).status == 200
        refused = await ask("POST", MINT, JIT, token=token)
        assert refused.status == 403 and refused.body["message"] == "Resource not accessible by integration"
        assert refused.headers["x-accepted-github-permissions"] == "administration=write"
        grant = {"app": "andon", "account": "acme", "permissions": {"actions": "read", "administration": "write"}}
        await caller.control("installations", grant)
        token = await caller.installation_token(app, installation)
        assert (await ask("POST", MINT, JIT, token=token)).status == 201
        caller.clock.advance(3599)
        assert (await ask("GET", "/repos/acme/app", token=token)).status == 200
        caller.clock.advance(1)
        ended = await ask("GET", "/repos/acme/app", token=token)
        assert ended.status == 401 and ended.body["message"] == "Bad credentials"
        token = await caller.installation_token(app, installation)
        assert (await ask("DELETE", "/installation/token", token=token)).status == 204
        assert (await ask("GET", "/repos/acme/app", token=token)).status == 401
        token = await caller.installation_token(app, installation)
        assert (await caller.control("tokens/end", {"installation": installation})) == {"ended": 1}
        assert (await ask("GET", "/repos/acme/app", token=token)).status == 401

    through(story)


def test_a_token_is_narrowed_and_never_widened(keys):
    async def story(caller):
        ask = caller.ask
        for name in ("acme/app", "acme/other", "elsewhere/x"):
            await caller.control("repositories", {"repository": name})
        app, installation = await app_at_acme(caller, keys, {"actions": "write", "issues": "write"})
        path = f"/app/installations/{installation}/access_tokens"
        jwt = caller.app_jwt(app["id"], keys[0])
        narrow = await ask("POST", path, {"repositories": ["app"], "permissions": {"issues": "read"}}, token=jwt)
        assert narrow.status == 201 and narrow.body["repository_selection"] == "selected"
        assert narrow.body["permissions"] == {"metadata": "read", "issues": "read"}
        token = narrow.body["token"]
        assert (await ask("GET", "/repos/acme/app/issues", token=token)).status == 200
        assert (await ask("POST", "/repos/acme/app/issues", {"title": "x"}, token=token)).status == 403
        assert (await ask("GET", "/repos/acme/other/issues", token=token)).status == 404
        assert (await ask("GET", "/repos/elsewhere/x", token=token)).status == 404
        assert (await ask("POST", path, {"permissions": {"issues": "admin"}}, token=jwt)).status == 422
        assert (await ask("POST", path, {"permissions": {"secrets": "read"}}, token=jwt)).status == 422
        assert (await ask("POST", path, {"repositories": ["none"]}, token=jwt)).status == 422
        number = caller.github.world.repository("acme/other").id
        by_id = await ask("POST", path, {"repository_ids": [number]}, token=jwt)
        assert [one["full_name"] for one in by_id.body["repositories"]] == ["acme/other"]
        await caller.control("installations", {"app": "andon", "account": "acme", "suspended": True})
        suspended = await ask("POST", path, token=jwt)
        assert suspended.status == 403 and "suspended" in suspended.body["message"]

    through(story)


def test_an_app_has_one_webhook_for_all_its_installations(keys):
    async def story(caller):
        ask, github = caller.ask, caller.github
        hook = {"url": "http://receiver.invalid/hook", "secret": "s3cret"}
        app, installation = await app_at_acme(
            caller, keys, {"actions": "read"}, events=["workflow_job"], webhook=hook, repositories=["app"]
        )
        await caller.control("runs", RUN)
        await caller.control("runs", {**RUN, "repository": "acme/not-chosen"})
        (sent,) = github.hooks.take()
        assert sent.headers["X-GitHub-Hook-Installation-Target-Type"] == "integration"
        assert sent.headers["X-GitHub-Hook-Installation-Target-ID"] == str(app["id"])
        assert json.loads(sent.body)["installation"]["id"] == installation
        github.hooks.report(sent.send, 500, "Invalid HTTP Response: 500", 0.1)
        token = caller.app_jwt(app["id"], keys[0])
        (item,) = (await ask("GET", "/app/hook/deliveries", token=token, query={"status": "failure"})).body
        assert item["installation_id"] == installation and item["guid"] == sent.headers["X-GitHub-Delivery"]
        shown = await ask("GET", f"/app/hook/deliveries/{item['id']}", token=token)
        assert shown.body["request"]["headers"]["X-GitHub-Event"] == "workflow_job"
        assert (await ask("POST", f"/app/hook/deliveries/{item['id']}/attempts", token=token)).status == 202
        (again,) = github.hooks.take()
        assert again.headers["X-GitHub-Delivery"] == item["guid"]
        assert (await ask("GET", "/app/hook/config", token=token)).body["secret"] == "********"
        changed = await ask("PATCH", "/app/hook/config", {"url": "http://new.invalid/"}, token=token)
        assert changed.body["url"] == "http://new.invalid/"
        assert (await ask("GET", "/app/hook/deliveries")).status == 401

    through(story)


MANIFEST = {
    "name": "Andon of acme",
    "url": "http://127.0.0.1:8480",
    "hook_attributes": {"url": "http://127.0.0.1:8480/webhooks"},
    "redirect_url": "http://127.0.0.1:9999/done",
    "default_permissions": {"actions": "write", "organization_self_hosted_runners": "write"},
    "default_events": ["workflow_job"],
    "public": False,
}


@pytest.mark.parametrize("page", ["/settings/apps/new", "/organizations/acme/settings/apps/new"])
def test_an_app_is_made_of_a_manifest_and_installed(page):
    async def story(caller):
        ask = caller.ask
        assert b"<form" in (await ask("GET", page)).body
        form = urlencode({"manifest": json.dumps(MANIFEST)}).encode()
        posted = await ask("POST", f"{page}?state=abc", form)
        assert posted.status == 302
        where = urlsplit(posted.headers["location"])
        query = parse_qs(where.query)
        assert where.netloc == "127.0.0.1:9999" and query["state"] == ["abc"]
        path = f"/app-manifests/{query['code'][0]}/conversions"
        made = await ask("POST", path, headers={"authorization": ""})
        assert made.status == 201 and made.body["slug"] == "andon-of-acme"
        assert made.body["webhook_secret"] and made.body["pem"].startswith("-----BEGIN RSA PRIVATE KEY-----")
        assert (await ask("POST", path)).status == 404
        (ping,) = caller.github.hooks.take()
        assert ping.headers["X-GitHub-Event"] == "ping" and json.loads(ping.body)["hook"]["type"] == "App"
        token = caller.app_jwt(made.body["id"], made.body["pem"])
        assert (await ask("GET", "/app", token=token)).body["permissions"]["actions"] == "write"
        install = "/apps/andon-of-acme/installations/new"
        assert b"<form" in (await ask("GET", install)).body
        assert (await ask("POST", install, urlencode({"account": "acme"}).encode())).status == 200
        assert len((await ask("GET", "/app/installations", token=token)).body) == 1
        # Nothing was registered through control, so other tokens go on to be let in.
        await caller.control("repositories", {"repository": "acme/app"})
        assert (await ask("GET", "/repos/acme/app")).status == 200

    through(story)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "name"),
        ({"default_permissions": {}}, "workflow_job"),
        ({"hook_attributes": None}, "webhook"),
        ({"default_permissions": {"actions": "all"}}, "actions"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(change, words):
    async def story(caller):
        form = urlencode({"manifest": json.dumps({**MANIFEST, **change})}).encode()
        refused = await caller.ask("POST", "/settings/apps/new", form)
        assert refused.status == 422 and words in refused.body.decode()

    through(story)


def test_a_code_that_waited_an_hour_makes_nothing():
    async def story(caller):
        code = caller.github.apps.propose(MANIFEST, "acme")
        caller.clock.advance(3600)
        assert (await caller.ask("POST", f"/app-manifests/{code}/conversions")).status == 404

    through(story)
