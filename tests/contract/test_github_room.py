"""Every call of our GitHub room, as an App, against the sandbox: what it sends fits GitHub's description.

And what it gets is understood: no call ends as MALFORMED. A method that is new in the room fails here
until it is called.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import httpx2

from andon.github.app_credentials import AppCredentials
from andon.github.client import GitHub, Scope
from andon.github.credentials import Anonymous, Credentials, FixedToken
from andon.github.hook_payloads import HookLog
from andon.github.outcomes import Failed, FailureClass
from andon.github.transport import Transport
from andon.github.work_payloads import CheckOutput
from tests.contract.sandbox_peer import Peer

LABELS = ["self-hosted", "linux"]
SHA = "b" * 40
APP = {
    "name": "andon",
    "owner": "acme",
    "permissions": {
        "actions": "write",
        "administration": "write",
        "checks": "write",
        "contents": "read",
        "issues": "write",
        "organization_hooks": "write",
        "organization_self_hosted_runners": "write",
        "pull_requests": "read",
        "repository_hooks": "write",
    },
    "events": ["workflow_job"],
    "webhook": {"url": "http://receiver.invalid/app", "secret": "s"},
}
AT_REPOSITORY, AT_ORGANISATION = Scope(owner="acme", repository="acme/app"), Scope(owner="acme", repository=None)


class Room:
    """The GitHub room over the sandbox; remembers which of its calls were made."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._transports: list[Transport] = []
        self.called: set[str] = set()

    def as_(self, credentials: Credentials) -> "Calls":
        transport = Transport(
            "http://github.test",
            credentials,
            self._peer.clock,
            http_transport=httpx2.ASGITransport(app=self._peer.app),
        )
        self._transports.append(transport)
        return Calls(GitHub(transport), self.called)

    async def close(self) -> None:
        for transport in self._transports:
            await transport.close()


class Calls:
    """A GitHub whose calls are noted, and whose answers are not failures, unless one is wanted."""

    def __init__(self, github: GitHub, called: set[str]) -> None:
        self._github, self._called = github, called

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*given: Any, fails: FailureClass | None = None, **named: Any) -> Any:
            self._called.add(name)
            answer = await getattr(self._github, name)(*given, **named)
            failure = answer.kind if isinstance(answer, Failed) else None
            assert failure == fails, f"{name}: {answer}"
            return answer

        return call


async def runners(github: Calls, scope: Scope) -> int:
    for name in ("one", "two"):
        minted = await github.mint_runner(scope, name=f"{name}-{scope.repository}", group=1, labels=LABELS)
    again = {"name": f"two-{scope.repository}", "group": 1, "labels": LABELS}
    await github.mint_runner(scope, **again, fails=FailureClass.CONFLICT)
    assert (await github.find_runner(scope, f"two-{scope.repository}")).id == minted.runner.id
    assert await github.find_runner(scope, "nobody") is None
    assert len((await github.list_runners(scope)).items) >= 2
    assert await github.knock(scope) is None
    one = minted.runner.id
    await github.runner(scope, one)
    await github.runner_labels(scope, one)
    await github.add_runner_labels(scope, one, ["extra one", "other"])
    await github.remove_runner_label(scope, one, "extra one")
    await github.remove_runner_label(scope, one, "absent", fails=FailureClass.GONE)
    await github.set_runner_labels(scope, one, ["third"])
    await github.registration_token(scope)
    await github.runner_deprecations(scope, "2.336.0")
    await github.delete_runner(scope, one)
    await github.delete_runner(scope, one, fails=FailureClass.GONE)
    return int((await github.find_runner(scope, f"one-{scope.repository}")).id)


async def runs(peer: Peer, github: Calls, runner: int) -> None:
    jobs = [{"name": "one", "labels": LABELS}]
    made = peer.order("runs", {"repository": "acme/app", "sha": SHA, "jobs": jobs})
    run, job = made["run_id"], made["jobs"][0]
    await github.job_log("acme/app", job, fails=FailureClass.GONE)
    await github.rerun_run("acme/app", run, fails=FailureClass.FORBIDDEN)
    peer.serve_jobs(runner, "failure")
    for attempt in (None, 1):
        await github.run("acme/app", run, attempt)
        assert len((await github.jobs_of_run("acme/app", run, attempt)).jobs) == 1
    found = await github.job("acme/app", job)
    node = found.jobs[0].node_id
    states = await github.check_states("acme", [node, "CR_sandbox999999"])
    assert states.known[node].conclusion == "failure" and states.unknown == ("CR_sandbox999999",)
    await github.runs("acme/app", "completed", branch="main", created=">=2025-01-01T00:00:00Z")
    await github.runs("acme/app")
    await github.newest_runs("acme/app", 5)
    # Asked again with its ETag: answered 304.
    assert (await github.newest_runs("acme/app", 5)).not_modified
    assert await github.job_log("acme/app", job) == b"a log\n"
    pieces: list[bytes] = []
    await github.save_job_log("acme/app", job, pieces.append)
    assert b"".join(pieces) == b"a log\n"
    for rerun in (github.rerun_run, github.rerun_failed_jobs):
        await rerun("acme/app", run, debug=True)
        await github.cancel_run("acme/app", run)
        peer.clock.advance(600)
        peer.github.tick()
    await github.cancel_run("acme/app", run, fails=FailureClass.CONFLICT)
    again = (await github.jobs_of_run("acme/app", run)).jobs[0].id
    await github.rerun_job("acme/app", again)
    await github.force_cancel_run("acme/app", run)


async def hooks(peer: Peer, github: Calls, scope: Scope) -> None:
    wanted = {"url": f"http://receiver.invalid/{scope.repository}", "secret": "s", "events": ["workflow_job"]}
    made = await github.create_hook(scope, **wanted)
    await github.create_hook(scope, **wanted, fails=FailureClass.INVALID)
    assert [hook.id for hook in (await github.hooks(scope)).items] == [made.id]
    for name in ("x", "y", "z"):
        peer.order("runs", {"repository": "acme/app", "jobs": [{"name": name, "labels": LABELS}]})
    peer.deliver()
    await deliveries(github, HookLog(scope=scope, hook_id=made.id))


async def deliveries(github: Calls, log: HookLog) -> None:
    page = await github.deliveries(log, per_page=1)
    assert page.next is not None, "the log goes on"
    await github.deliveries(log, cursor=page.next, status="success")
    await github.delivery(log, page.items[0].id)
    await github.redeliver(log, page.items[0].id)
    await github.redeliver(log, 1, fails=FailureClass.GONE)


async def work(peer: Peer, github: Calls) -> None:
    """Issues, comments, pull requests, check runs."""
    issue = await github.create_issue("acme/app", title="Fleet", body="text", labels=["ci"])
    await github.issue("acme/app", issue.number)
    await github.update_issue("acme/app", issue.number, title="New", body="b", state="closed", labels=["ci", "x"])
    await github.issues("acme/app", state="all", labels=["ci", "x"], creator="andon[bot]")
    said = await github.add_comment("acme/app", issue.number, "a comment")
    await github.update_comment("acme/app", said.id, "another")
    await github.comments("acme/app", issue.number)
    pull = peer.order("pulls", {"repository": "acme/app", "title": "A change", "head": "topic"})["number"]
    peer.order("pulls", {"repository": "acme/app", "number": pull, "merged_by": "octocat"})
    await github.pull("acme/app", pull)
    await github.pulls("acme/app", state="all", base="main", head="acme:topic")
    output = CheckOutput(title="Fleet", summary="all is well")
    made = await github.create_check_run(
        "acme/app", name="andon", head_sha=SHA, status="in_progress", output=output, external_id="1"
    )
    await github.update_check_run(
        "acme/app", made.id, status="completed", conclusion="success", output=output, completed_at=peer.clock.now()
    )
    await github.check_runs("acme/app", SHA, name="andon")
    await github.check_runs("acme/app", "heads/main")


async def everything(peer: Peer, room: Room) -> None:
    peer.order("repositories", {"repository": "acme/app"})
    app = peer.order("apps", APP)
    peer.order("installations", {"app": app["id"], "account": "acme"})
    github = room.as_(AppCredentials(app_id=app["id"], private_key=app["pem"], clock=peer.clock))
    await github.app()
    await github.app_hook()
    await github.installations()
    await github.installation_repositories("acme")
    await github.rate_limit("acme")
    at_repository, at_organisation = [await runners(github, scope) for scope in (AT_REPOSITORY, AT_ORGANISATION)]
    group = peer.order("runner_groups", {"org": "acme", "name": "special"})["id"]
    assert group in [each.id for each in (await github.runner_groups("acme")).items]
    await github.move_runner("acme", group, at_organisation)
    await runs(peer, github, at_repository)
    for scope in (AT_REPOSITORY, AT_ORGANISATION):
        await hooks(peer, github, scope)
    await deliveries(github, HookLog())
    await work(peer, github)
    manifest = {"name": "other", "url": "http://board.invalid", "redirect_url": "http://board.invalid/back"}
    code = peer.github.apps.propose(manifest, "acme")
    await room.as_(Anonymous()).convert_manifest(code)
    # A narrowed App, a revoked token, and a token where an App is needed.
    narrowed = AppCredentials(
        app_id=app["id"], private_key=app["pem"], clock=peer.clock, permissions={"actions": "read"}
    )
    await room.as_(narrowed).runs("acme/app")
    await room.as_(FixedToken("revoked")).runs("acme/app", fails=FailureClass.UNAUTHORISED)


def test_every_call_of_the_github_room_fits_the_description() -> None:
    peer = Peer()
    room = Room(peer)

    async def main() -> None:
        try:
            await everything(peer, room)
        finally:
            await room.close()
            await peer.close()

    asyncio.run(main())
    assert sorted(set(peer.mismatches)) == []
    calls = {name for name, _ in inspect.getmembers(GitHub, inspect.iscoroutinefunction) if not name.startswith("_")}
    assert room.called == calls, "calls of the room that nobody made here"
