"""The whole room against the sandbox GitHub, which keeps its own account of who broke its limits."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import httpx2
import pytest

from andon.github.call import Priority
from andon.github.client import GitHub, Scope
from andon.github.credentials import AppCredentials, Credentials, FixedToken
from andon.github.hook_payloads import HookLog
from andon.github.outcomes import Failed, FailureClass
from andon.github.transport import Transport
from andon.sim.sandbox.control import post
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.virtual_time import VirtualClock
from tests.github.test_calls import CALLS
from tests.support.contract_watch import watched

REPO = Scope(owner="acme", repository="acme/app")
PERMISSIONS = {
    "actions": "write",
    "administration": "write",
    "checks": "write",
    "issues": "write",
    "metadata": "read",
    "organization_hooks": "write",
    "organization_self_hosted_runners": "write",
    "pull_requests": "read",
    "repository_hooks": "write",
}


class Play:
    """A sandbox with one repository, and our side of it; with an App when `app` is set."""

    def __init__(self, *, app: bool = False, percent: float = 80.0, seed: int = 7) -> None:
        self.clock = VirtualClock()
        self.sandbox = SandboxGitHub(self.clock, Random(seed), base_url="http://github.test")
        self.control("repositories", repository="acme/app")
        credentials: Credentials = FixedToken("any")
        if app:
            made = self.control(
                "apps", name="andon", owner="acme", permissions=PERMISSIONS, webhook={"url": "http://127.0.0.1:9/"}
            )
            self.app_id = made["id"]
            self.installation = self.control("installations", app=made["id"], account="acme")["id"]
            credentials = AppCredentials(app_id=made["id"], private_key=made["pem"], clock=self.clock)
        self.transport = Transport(
            "http://github.test",
            credentials,
            self.clock,
            http_transport=httpx2.ASGITransport(app=watched(self.sandbox)),
            budget_percent=percent,
        )
        self.github = GitHub(self.transport)

    def control(self, path: str, **body: Any) -> Any:
        status, answer = post(self.sandbox, f"/_sandbox/{path}", body)
        assert status < 300, answer
        return answer

    @property
    def limits(self) -> dict[str, Any]:
        return self.sandbox.truth()["rate_limits"]

    def run(self, *jobs: str) -> dict[str, Any]:
        specs = [{"name": each, "labels": ["self-hosted"]} for each in jobs]
        return self.control("runs", repository="acme/app", jobs=specs)


def play(story: Callable[[Play], Awaitable[None]], **more: Any) -> None:
    async def main() -> None:
        made = Play(**more)
        try:
            await story(made)
        finally:
            await made.transport.close()

    asyncio.run(main())


def well(answer: Any) -> Any:
    assert not isinstance(answer, Failed), answer
    return answer


def test_an_app_sees_its_repositories_and_mints() -> None:
    async def story(here: Play) -> None:
        assert well(await here.github.app()).id == here.app_id
        repositories = well(await here.github.installation_repositories("acme"))
        assert [each.full_name for each in repositories.items] == ["acme/app"]
        minted = well(await here.github.mint_runner(REPO, name="r", group=1, labels=["self-hosted"]))
        assert well(await here.github.find_runner(REPO, "r")).id == minted.runner.id
        again = await here.github.mint_runner(REPO, name="r", group=1, labels=["self-hosted"])
        assert isinstance(again, Failed) and again.kind is FailureClass.CONFLICT

    play(story, app=True)


def test_ended_tokens_and_hours_that_pass_cost_one_try_each() -> None:
    async def story(here: Play) -> None:
        well(await here.github.runs("acme/app", "queued"))
        here.control("tokens/end", installation=here.installation)
        well(await here.github.runs("acme/app", "queued"))
        here.clock.advance(2 * 3600)
        well(await here.github.runs("acme/app", "queued"))
        given = [count for line, count in here.sandbox.truth()["calls"].items() if "access_tokens" in line]
        assert sum(given) == 3

    play(story, app=True)


@pytest.mark.parametrize(("change", "sentence"), [({"suspended": True}, "suspended"), ({"removed": True}, "install")])
def test_an_installation_that_is_taken_away_is_a_finding(change: dict[str, bool], sentence: str) -> None:
    async def story(here: Play) -> None:
        well(await here.github.runs("acme/app", "queued"))
        here.control("installations", app=here.app_id, account="acme", **change)
        here.clock.advance(3600)
        refused = await here.github.runs("acme/app", "queued")
        assert isinstance(refused, Failed) and refused.kind is FailureClass.UNAUTHORISED
        assert sentence in refused.message

    play(story, app=True)


def test_an_unchanged_list_is_free_until_the_token_changes() -> None:
    async def story(here: Play) -> None:
        seen: list[bool] = []
        here.run("a")
        for pause in (0, 60, 60, 3600, 60):
            here.clock.advance(pause)
            seen.append(well(await here.github.runs("acme/app", "queued")).not_modified)
        assert seen == [False, True, True, False, True]
        (core,) = [each for each in here.github.budgets() if each.account.startswith("installation")]
        assert core.used == 1

    play(story, app=True)


def test_states_of_many_jobs_come_by_graphql() -> None:
    async def story(here: Play) -> None:
        made = here.run(*(f"job {each}" for each in range(120)))
        jobs = well(await here.github.jobs_of_run("acme/app", made["run_id"])).jobs
        ids = [job.node_id for job in jobs]
        assert len(ids) == 120 and all(ids)
        states = well(await here.github.check_states("acme", [*ids, "CR_nobody"]))
        assert states.calls == 2
        assert states.unknown == ("CR_nobody",)
        assert {state.status for state in states.known.values()} == {"queued"}
        assert {state.id for state in states.known.values()} == {job.id for job in jobs}

    play(story, app=True)


def test_what_a_person_would_do_by_hand() -> None:
    """Hooks and their log, issues, check runs, labels: each against an endpoint that keeps state."""

    async def story(here: Play) -> None:
        github = here.github
        hook = well(await github.create_hook(REPO, url="http://127.0.0.1:9/x", secret="s", events=["workflow_job"]))
        assert [each.id for each in well(await github.hooks(REPO)).items] == [hook.id]
        log = HookLog(scope=REPO, hook_id=hook.id)
        well(await github.deliveries(log))
        issue = well(await github.create_issue("acme/app", title="t", body="b"))
        comment = well(await github.add_comment("acme/app", issue.number, "one"))
        well(await github.update_comment("acme/app", comment.id, "two"))
        assert [each.body for each in well(await github.comments("acme/app", issue.number)).items] == ["two"]
        assert well(await github.update_issue("acme/app", issue.number, state="closed")).state == "closed"
        assert well(await github.issues("acme/app")).items == ()
        made = here.run("a")
        (job,) = well(await github.jobs_of_run("acme/app", made["run_id"])).jobs
        runner = well(await github.mint_runner(REPO, name="r", group=1, labels=["self-hosted", "x"])).runner
        well(await github.add_runner_labels(REPO, runner.id, ["y"]))
        labels = well(await github.remove_runner_label(REPO, runner.id, "x"))
        assert "y" in {each.name for each in labels} and "x" not in {each.name for each in labels}
        check = well(await github.create_check_run("acme/app", name="andon", head_sha=job.head_sha))
        well(await github.update_check_run("acme/app", check.id, status="completed", conclusion="success"))
        names = {each.name for each in well(await github.check_runs("acme/app", job.head_sha)).items}
        assert {"andon"} <= names
        assert await github.cancel_run("acme/app", made["run_id"]) is None
        assert await github.delete_runner(REPO, runner.id) is None

    play(story, app=True)


def test_every_call_is_one_that_github_publishes() -> None:
    """Each against an endpoint; the contract watch holds what was asked against GitHub's description."""

    async def story(here: Play) -> None:
        for line, ask, *_ in CALLS:
            got = await ask(here.github)
            if isinstance(got, Failed):
                assert got.kind not in (FailureClass.BUG, FailureClass.MALFORMED), (line, got)
        for app_call in (here.github.app, here.github.app_hook, here.github.installations):
            well(await app_call())
        well(await here.github.deliveries(HookLog()))
        well(await here.github.runner_groups("acme"))
        well(await here.github.rate_limit("acme"))

    play(story, app=True)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_goes_wrong_no_limit_of_githubs_is_broken(seed: int) -> None:
    """A day of calls in small budgets with refusals, lost answers, ended tokens: GitHub counts none that
    came too early, none over the limit, and the reserve is left alone."""

    async def story(here: Play) -> None:
        chance = Random(seed)
        here.control("limits", core=40, graphql=10, secondary=True, content_per_minute=3)
        here.run("a", "b")
        kinds = ("api_secondary_limit", "api_rate_limited", "api_token_expired", "api_reply_lost", "api_error")
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: here.github.runs("acme/app", "queued"),
            lambda: here.github.job("acme/app", 1, priority=Priority.LOOKUP),
            lambda: here.github.mint_runner(REPO, name=f"r{chance.random()}", group=1, labels=["x"]),
            lambda: here.github.check_states("acme", ["CR_x"]),
            lambda: here.github.create_issue("acme/app", title="t", body="b"),
        ]
        sent = 0
        for _ in range(150):
            if chance.random() < 0.1:
                kind = chance.choice(kinds)
                seconds = {"seconds": chance.randint(1, 120)} if kind != "api_token_expired" else {}
                here.control("faults", kind=kind, count=1, **({} if kind == "api_reply_lost" else seconds))
            got = await asyncio.gather(*(chance.choice(calls)() for _ in range(chance.randint(1, 6))))
            sent += sum(not isinstance(each, Failed) for each in got)
            here.clock.advance(chance.choice([0.1, 1, 20, 300, 900]))
        assert sent > 100
        assert here.limits["calls_too_early"] == []
        assert here.limits["calls_over_limit"] == []
        core = [each for each in here.limits["budgets"] if each["resource"] == "core"]
        assert core and all(each["used"] <= 32 + 6 for each in core)

    play(story, app=True, seed=seed)
