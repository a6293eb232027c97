"""Every REST call that the sandbox serves, held against GitHub's description: the call, its status, its body.

A route that is new in the sandbox fails here until it is called.
"""

import asyncio
from typing import Any

from tests.contract.exchange_check import NOT_DESCRIBED, is_described
from tests.contract.sandbox_peer import Peer, templates

REPO, ORG = "/repos/acme/app", "/orgs/acme"
LABELS = ["self-hosted", "linux"]
SHA = "b" * 40
APP = {
    "name": "andon test",
    "owner": "acme",
    "permissions": {"checks": "write", "issues": "write", "administration": "write"},
    "events": ["workflow_job"],
    "webhook": {"url": "http://receiver.invalid/app", "secret": "s"},
}


async def runners(peer: Peer, place: str) -> int:
    """Runners, their labels and tokens at a repository or an organisation; gives one that is left."""
    at = f"{place}/actions/runners"
    minted: list[int] = []
    for name in ("first", "second"):
        body = {"name": f"{name}-of-{place}", "runner_group_id": 1, "labels": LABELS, "work_folder": "_work"}
        minted.append((await peer.call("POST", f"{at}/generate-jitconfig", body, status=201))["runner"]["id"])
        await peer.call("POST", f"{at}/generate-jitconfig", body, status=409)
    await peer.call("POST", f"{at}/generate-jitconfig", {**body, "name": "x", "runner_group_id": 99}, status=404)
    await peer.call("POST", f"{at}/registration-token", status=201)
    await peer.call("POST", f"{at}/remove-token", status=201)
    await peer.call("GET", at, status=200, per_page=1, page=2)
    await peer.call("GET", at, status=200, name=f"first-of-{place}")
    await peer.call("GET", f"{at}/{minted[0]}", status=200)
    await peer.call("GET", f"{at}/deprecations/2.336.0", status=200)
    await peer.call("GET", f"{at}/downloads", status=200)
    labels = f"{at}/{minted[0]}/labels"
    await peer.call("GET", labels, status=200)
    await peer.call("POST", labels, {"labels": ["gpu", "big"]}, status=200)
    await peer.call("PUT", labels, {"labels": ["gpu", "small"]}, status=200)
    await peer.call("DELETE", f"{labels}/gpu", status=200)
    await peer.call("DELETE", f"{labels}/absent", status=404)
    await peer.call("DELETE", labels, status=200)
    await peer.call("DELETE", f"{at}/{minted[0]}", status=204)
    await peer.call("GET", f"{at}/{minted[0]}", status=404)
    return minted[1]


async def groups(peer: Peer, runner: int) -> None:
    made = peer.order("runner_groups", {"org": "acme", "name": "special"})
    at = f"{ORG}/actions/runner-groups"
    await peer.call("GET", at, status=200)
    await peer.call("GET", f"{at}/{made['id']}", status=200)
    await peer.call("PUT", f"{at}/{made['id']}/runners/{runner}", status=204)
    await peer.call("GET", f"{at}/{made['id']}/runners", status=200)
    await peer.call("DELETE", f"{at}/{made['id']}/runners/{runner}", status=204)
    await peer.call("GET", f"{at}/999", status=404)


async def runs(peer: Peer, runner: int, other: int) -> dict[str, Any]:
    """A run that fails, is read, rerun in all three ways, and cancelled in both."""
    made = peer.order(
        "runs",
        {"repository": "acme/app", "sha": SHA, "jobs": [{"name": name, "labels": LABELS} for name in ("one", "two")]},
    )
    run, first = f"{REPO}/actions/runs/{made['run_id']}", f"{REPO}/actions/jobs/{made['jobs'][0]}"
    await peer.call("GET", f"{first}/logs", status=404)
    peer.serve_jobs(runner, "failure")
    peer.serve_jobs(other, "success")
    await peer.call("GET", REPO, status=200)
    await peer.call("GET", f"{REPO}/actions/runs?status=completed", status=200)
    await peer.call("GET", run, status=200)
    await peer.call("GET", f"{run}/attempts/1", status=200)
    await peer.call("GET", f"{run}/attempts/9", status=404)
    await peer.call("GET", f"{run}/jobs", status=200, filter="all", per_page=1)
    await peer.call("GET", f"{run}/attempts/1/jobs", status=200)
    failed = next(
        job["id"]
        for job in (await peer.call("GET", f"{run}/jobs", status=200))["jobs"]
        if job["conclusion"] == "failure"
    )
    await peer.call("GET", f"{REPO}/actions/jobs/{failed}", status=200)
    await peer.call("GET", f"{REPO}/actions/jobs/{failed}/logs", status=302)
    await peer.call("POST", f"{REPO}/actions/jobs/{failed}/rerun", {"enable_debug_logging": False}, status=201)
    await peer.call("POST", f"{run}/rerun", status=403)
    await peer.call("POST", f"{run}/cancel", status=202)
    peer.clock.advance(600)
    await peer.call("POST", f"{run}/cancel", status=409)
    await peer.call("POST", f"{run}/rerun-failed-jobs", status=201)
    await peer.call("POST", f"{run}/force-cancel", status=202)
    await peer.call("POST", f"{run}/rerun", {"enable_debug_logging": True}, status=201)
    await peer.call("GET", f"{REPO}/actions/runs/1/jobs", status=404)
    return made


async def hooks(peer: Peer, place: str) -> None:
    config = {"url": f"http://receiver.invalid{place}", "content_type": "json", "secret": "s"}
    wanted = {"name": "web", "active": True, "events": ["workflow_job"], "config": config}
    made = await peer.call("POST", f"{place}/hooks", wanted, status=201)
    await peer.call("POST", f"{place}/hooks", wanted, status=422)
    at = f"{place}/hooks/{made['id']}"
    await peer.call("GET", f"{place}/hooks", status=200)
    await peer.call("GET", at, status=200)
    await peer.call("PATCH", at, {"events": ["workflow_job", "workflow_run"], "active": True}, status=200)
    await peer.call("GET", f"{at}/config", status=200)
    await peer.call("PATCH", f"{at}/config", {"content_type": "json"}, status=200)
    await peer.call("POST", f"{at}/pings", status=204)
    peer.order("runs", {"repository": "acme/app", "jobs": [{"name": "told", "labels": LABELS}]})
    peer.deliver()
    await deliveries(peer, at)
    await peer.call("DELETE", at, status=204)
    await peer.call("GET", at, status=404)


async def deliveries(peer: Peer, at: str, token: str | None = None) -> None:
    log = await peer.call("GET", f"{at}/deliveries", status=200, token=token, per_page=1)
    assert log, f"nothing was delivered to {at}"
    await peer.call("GET", f"{at}/deliveries/{log[0]['id']}", status=200, token=token)
    await peer.call("POST", f"{at}/deliveries/{log[0]['id']}/attempts", status=202, token=token)
    await peer.call("GET", f"{at}/deliveries/1", status=404, token=token)


async def issues(peer: Peer) -> str:
    at = f"{REPO}/issues"
    made = await peer.call("POST", at, {"title": "Fleet", "body": "text", "labels": ["ci"]}, status=201)
    one = f"{at}/{made['number']}"
    await peer.call("GET", at, status=200, state="all", labels="ci")
    await peer.call("GET", one, status=200)
    said = await peer.call("POST", f"{one}/comments", {"body": "a comment"}, status=201)
    await peer.call("GET", f"{one}/comments", status=200)
    await peer.call("GET", f"{at}/comments", status=200)
    await peer.call("GET", f"{at}/comments/{said['id']}", status=200)
    await peer.call("PATCH", f"{at}/comments/{said['id']}", {"body": "another"}, status=200)
    await peer.call("DELETE", f"{at}/comments/{said['id']}", status=204)
    await peer.call("PATCH", one, {"body": "new", "state": "closed", "state_reason": "completed"}, status=200)
    await peer.call("GET", f"{at}/999", status=404)
    await peer.call("POST", f"{one}/comments", {"body": "x" * 70_000}, status=422)
    return str(made["node_id"])


async def pulls(peer: Peer) -> None:
    made = peer.order("pulls", {"repository": "acme/app", "title": "A change", "head": "topic", "labels": ["ci"]})
    peer.order("pulls", {"repository": "acme/app", "title": "From a fork", "head": "topic", "fork": True})
    merged = peer.order("pulls", {"repository": "acme/app", "number": made["number"], "merged_by": "octocat"})
    await peer.call("GET", f"{REPO}/pulls", status=200, state="all", direction="asc")
    for number in (made["number"], made["number"] + 1):
        await peer.call("GET", f"{REPO}/pulls/{number}", status=200)
    await peer.call("GET", f"{REPO}/commits/{merged['merge_commit_sha']}/pulls", status=200)
    await peer.call("GET", f"{REPO}/pulls/999", status=404)


async def checks(peer: Peer, token: str) -> None:
    output = {"title": "Fleet", "summary": "ok"}
    wanted = {"name": "andon", "head_sha": SHA, "status": "in_progress", "output": output}
    made = await peer.call("POST", f"{REPO}/check-runs", wanted, status=201, token=token)
    at = f"{REPO}/check-runs/{made['id']}"
    ended = {"status": "completed", "conclusion": "success", "output": output}
    await peer.call("PATCH", at, ended, status=200, token=token)
    await peer.call("GET", at, status=200, token=token)
    await peer.call("GET", f"{REPO}/commits/{SHA}/check-runs", status=200, token=token, per_page=100)
    await peer.call("GET", f"{REPO}/commits/heads/main/check-runs", status=200, token=token)


async def apps(peer: Peer) -> str:
    """An App of control and one of a manifest; gives an installation's token."""
    made = peer.order("apps", APP)
    installed = peer.order("installations", {"app": made["id"], "account": "acme"})
    own = peer.jwt(made["id"], made["pem"])
    at = f"/app/installations/{installed['id']}"
    for path in ("/app", "/app/installations", at, f"{REPO}/installation", f"{ORG}/installation"):
        await peer.call("GET", path, status=200, token=own)
    await peer.call("GET", "/users/acme/installation", status=200, token=own)
    await peer.call("GET", "/apps/andon-test", status=200)
    await peer.call("GET", "/app/installations/999", status=404, token=own)
    narrow = {"repositories": ["app"], "permissions": {"checks": "write"}}
    await peer.call("POST", f"{at}/access_tokens", narrow, status=201, token=own)
    token = (await peer.call("POST", f"{at}/access_tokens", status=201, token=own))["token"]
    await peer.call("GET", "/installation/repositories", status=200, token=token)
    await peer.call("GET", "/app/hook/config", status=200, token=own)
    await peer.call("PATCH", "/app/hook/config", {"content_type": "json"}, status=200, token=own)
    peer.order("runs", {"repository": "acme/app", "jobs": [{"name": "told", "labels": LABELS}]})
    peer.deliver()
    await deliveries(peer, "/app/hook", own)
    return str(token)


async def an_app_of_a_manifest(peer: Peer) -> None:
    manifest = {
        "name": "made of a manifest",
        "url": "http://board.invalid",
        "redirect_url": "http://board.invalid/back",
        "hook_attributes": {"url": "http://receiver.invalid/manifest"},
        "default_permissions": {"actions": "read"},
        "default_events": ["workflow_job"],
    }
    code = peer.github.apps.propose(manifest, "acme")
    made = await peer.call("POST", f"/app-manifests/{code}/conversions", status=201)
    await peer.call("POST", f"/app-manifests/{code}/conversions", status=404)
    peer.order("installations", {"app": made["id"], "account": "acme"})
    own = peer.jwt(made["id"], made["pem"])
    (installed,) = await peer.call("GET", "/app/installations", status=200, token=own)
    at = f"/app/installations/{installed['id']}"
    token = (await peer.call("POST", f"{at}/access_tokens", status=201, token=own))["token"]
    await peer.call("DELETE", "/installation/token", status=204, token=token)
    await peer.call("GET", "/installation/repositories", status=401, token=token)
    await peer.call("DELETE", at, status=204, token=own)


async def everything(peer: Peer) -> None:
    peer.order("repositories", {"repository": "acme/app"})
    await peer.call("GET", "/rate_limit", status=200)
    await peer.call("GET", "/user", status=200)
    await peer.call("GET", "/meta", status=200)
    await peer.call("GET", f"{ORG}/repos", status=200)
    of_repo, of_org = await runners(peer, REPO), await runners(peer, ORG)
    await groups(peer, of_org)
    await runs(peer, of_repo, of_org)
    for place in (REPO, ORG):
        await hooks(peer, place)
    issue = await issues(peer)
    await pulls(peer)
    query = {"query": "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", "variables": {"ids": [issue]}}
    await peer.call("POST", "/graphql", query, status=200)
    peer.done.add("POST /graphql")
    # From here on unknown tokens are refused: an App is known.
    await checks(peer, await apps(peer))
    await an_app_of_a_manifest(peer)


def test_every_route_of_the_sandbox_is_called_and_fits() -> None:
    peer = Peer()

    async def main() -> None:
        try:
            await everything(peer)
        finally:
            await peer.close()

    asyncio.run(main())
    assert sorted(set(peer.mismatches)) == []
    served = templates(peer.app)
    assert served - peer.done - set(NOT_DESCRIBED) == set(), "routes that nobody called"
    assert {name for name in served if not is_described(*name.split(" "))} <= set(NOT_DESCRIBED)
