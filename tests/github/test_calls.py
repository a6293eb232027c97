"""Every call: what it asks in GitHub's words, and what it makes of an answer; lists are whole or Failed."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from andon.github.client import GitHub, Scope
from andon.github.credentials import Anonymous
from andon.github.hook_calls import next_cursor
from andon.github.hook_payloads import HookLog
from andon.github.outcomes import Failed, FailureClass
from andon.github.scope import segment
from andon.github.work_payloads import CheckOutput
from tests.github.peer import Peer, quota, reply

REPO = Scope(owner="acme", repository="acme/app")
ORG = Scope(owner="acme", repository=None)
RUNNER = {"id": 5, "name": "r", "status": "online", "busy": False, "labels": [{"id": 1, "name": "a", "type": "custom"}]}
LABELS = {"total_count": 1, "labels": [{"id": 1, "name": "a", "type": "custom"}]}
DELIVERY = {
    "id": 9,
    "guid": "g",
    "delivered_at": "2026-11-22T10:00:00Z",
    "event": "workflow_job",
    "status_code": 502,
    "status": "Bad Gateway",
    "redelivery": False,
    "duration": 0.1,
    "action": "queued",
}
ISSUE = {"id": 1, "number": 3, "title": "t", "state": "open"}
PULL = {"id": 1, "number": 3, "state": "open", "head": {"ref": "x", "sha": "1"}, "base": {"ref": "main", "sha": "2"}}
CHECK = {"id": 1, "name": "c", "status": "completed", "conclusion": "success", "head_sha": "1"}
GROUP = {"id": 1, "name": "Default", "default": True}
HOOK = {"id": 4, "active": True, "events": ["workflow_job"], "config": {"url": "https://x"}}
MADE = {"id": 1, "name": "andon", "pem": "KEY", "webhook_secret": "s"}
TOKEN = {"token": "AAA", "expires_at": "2026-11-22T11:00:00Z"}
LIMITS = {"resources": {"core": {"limit": 5000, "remaining": 10, "reset": 1, "used": 4990}}}
LOG = HookLog(scope=REPO, hook_id=4)
R = "/repos/acme/app"
A = f"{R}/actions"

Ask = Callable[[GitHub], Awaitable[Any]]
CALLS: list[tuple[str, Ask, int, Any, Any]] = [
    # What is asked, by which method of ours, the answer, and the body that was sent.
    ("GET /orgs/acme/actions/runners/5", lambda g: g.runner(ORG, 5), 200, RUNNER, None),
    (f"DELETE {A}/runners/5", lambda g: g.delete_runner(REPO, 5), 204, None, None),
    (f"GET {A}/runners/5/labels", lambda g: g.runner_labels(REPO, 5), 200, LABELS, None),
    (f"PUT {A}/runners/5/labels", lambda g: g.set_runner_labels(REPO, 5, ["a"]), 200, LABELS, {"labels": ["a"]}),
    (f"POST {A}/runners/5/labels", lambda g: g.add_runner_labels(REPO, 5, ["a"]), 200, LABELS, {"labels": ["a"]}),
    (f"DELETE {A}/runners/5/labels/a%20b", lambda g: g.remove_runner_label(REPO, 5, "a b"), 200, LABELS, None),
    (
        "GET /orgs/acme/actions/runner-groups?per_page=100&page=1",
        lambda g: g.runner_groups("acme"),
        200,
        {"total_count": 1, "runner_groups": [GROUP]},
        None,
    ),
    ("PUT /orgs/acme/actions/runner-groups/2/runners/5", lambda g: g.move_runner("acme", 2, 5), 204, None, None),
    (f"POST {A}/runners/registration-token", lambda g: g.registration_token(REPO), 201, TOKEN, None),
    (
        f"GET {A}/runners/deprecations/2.336.0",
        lambda g: g.runner_deprecations(REPO, "2.336.0"),
        200,
        {"runner_version": "2.336.0", "runtime_deprecates_at": "2026-12-01", "registration_deprecates_at": None},
        None,
    ),
    (f"POST {A}/runs/7/rerun", lambda g: g.rerun_run("acme/app", 7), 201, {}, None),
    (
        f"POST {A}/runs/7/rerun-failed-jobs",
        lambda g: g.rerun_failed_jobs("acme/app", 7, debug=True),
        201,
        {},
        {"enable_debug_logging": True},
    ),
    (f"POST {A}/jobs/8/rerun", lambda g: g.rerun_job("acme/app", 8), 201, {}, None),
    (f"POST {A}/runs/7/cancel", lambda g: g.cancel_run("acme/app", 7), 202, {}, None),
    (f"POST {A}/runs/7/force-cancel", lambda g: g.force_cancel_run("acme/app", 7), 202, {}, None),
    (f"GET {R}/hooks?per_page=100&page=1", lambda g: g.hooks(REPO), 200, [HOOK], None),
    ("GET /orgs/acme/hooks?per_page=100&page=1", lambda g: g.hooks(ORG), 200, [HOOK], None),
    (
        f"POST {R}/hooks",
        lambda g: g.create_hook(REPO, url="https://x", secret="s", events=["workflow_job"]),
        201,
        HOOK,
        {
            "name": "web",
            "active": True,
            "events": ["workflow_job"],
            "config": {"url": "https://x", "content_type": "json", "secret": "s", "insecure_ssl": "0"},
        },
    ),
    (
        f"GET {R}/hooks/4/deliveries?per_page=100&status=failure&cursor=c",
        lambda g: g.deliveries(LOG, status="failure", cursor="c"),
        200,
        [DELIVERY],
        None,
    ),
    (
        f"GET {R}/hooks/4/deliveries/9",
        lambda g: g.delivery(LOG, 9),
        200,
        {**DELIVERY, "url": "https://x", "request": {"headers": {}, "payload": {"a": 1}}, "response": {"payload": "x"}},
        None,
    ),
    (f"POST {R}/hooks/4/deliveries/9/attempts", lambda g: g.redeliver(LOG, 9), 202, {}, None),
    (
        f"POST {R}/issues",
        lambda g: g.create_issue("acme/app", title="t", body="b", labels=["l"]),
        201,
        ISSUE,
        {"title": "t", "body": "b", "labels": ["l"]},
    ),
    (f"GET {R}/issues/3", lambda g: g.issue("acme/app", 3), 200, ISSUE, None),
    (
        f"PATCH {R}/issues/3",
        lambda g: g.update_issue("acme/app", 3, state="closed", labels=[]),
        200,
        ISSUE,
        {"state": "closed", "labels": []},
    ),
    (
        f"GET {R}/issues?state=open&labels=a%2Cb&per_page=100&page=1",
        lambda g: g.issues("acme/app", labels=["a", "b"]),
        200,
        [ISSUE],
        None,
    ),
    (f"GET {R}/issues/3/comments?per_page=100&page=1", lambda g: g.comments("acme/app", 3), 200, [{"id": 1}], None),
    (f"POST {R}/issues/3/comments", lambda g: g.add_comment("acme/app", 3, "hi"), 201, {"id": 1}, {"body": "hi"}),
    (f"PATCH {R}/issues/comments/1", lambda g: g.update_comment("acme/app", 1, "ho"), 200, {"id": 1}, {"body": "ho"}),
    (f"GET {R}/pulls/3", lambda g: g.pull("acme/app", 3), 200, PULL, None),
    (
        f"GET {R}/pulls?state=all&base=main&per_page=100&page=1",
        lambda g: g.pulls("acme/app", state="all", base="main"),
        200,
        [PULL],
        None,
    ),
    (
        f"GET {R}/commits/heads%2Fmain/check-runs?per_page=100&page=1",
        lambda g: g.check_runs("acme/app", "heads/main"),
        200,
        {"total_count": 1, "check_runs": [CHECK]},
        None,
    ),
    (
        f"POST {R}/check-runs",
        lambda g: g.create_check_run(
            "acme/app", name="c", head_sha="1", output=CheckOutput(title="t", summary="s"), external_id="e"
        ),
        201,
        CHECK,
        {
            "name": "c",
            "head_sha": "1",
            "external_id": "e",
            "status": "queued",
            "output": {"title": "t", "summary": "s"},
        },
    ),
    (
        f"PATCH {R}/check-runs/1",
        lambda g: g.update_check_run(
            "acme/app",
            1,
            status="completed",
            conclusion="success",
            completed_at=datetime(2026, 11, 22, 10, tzinfo=UTC),
        ),
        200,
        CHECK,
        {"status": "completed", "conclusion": "success", "completed_at": "2026-11-22T10:00:00Z"},
    ),
    (
        "GET /installation/repositories?per_page=100&page=1",
        lambda g: g.installation_repositories("acme"),
        200,
        {"total_count": 1, "repositories": [{"id": 1, "full_name": "acme/app"}]},
        None,
    ),
    ("GET /rate_limit", lambda g: g.rate_limit("acme"), 200, LIMITS, None),
]


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


@pytest.mark.parametrize(("line", "ask", "status", "answer", "sent"), CALLS, ids=[each[0] for each in CALLS])
def test_each_call_asks_in_githubs_words(line: str, ask: Ask, status: int, answer: Any, sent: Any) -> None:
    async def story() -> None:
        peer = Peer(reply(status, answer))
        got = await ask(peer.github)
        assert not isinstance(got, Failed), got
        assert peer.lines == [line]
        assert (peer.body if peer.asked[0].content else None) == sent

    run(story())


@pytest.mark.parametrize(("line", "ask", "status", "answer", "sent"), CALLS, ids=[each[0] for each in CALLS])
def test_a_failure_comes_out_of_each_call_as_it_is(line: str, ask: Ask, status: int, answer: Any, sent: Any) -> None:
    async def story() -> None:
        got = await ask(Peer(reply(422, {"message": "no"})).github)
        assert isinstance(got, Failed) and (got.kind, got.message) == (FailureClass.INVALID, "no")

    run(story())


@pytest.mark.parametrize(
    ("line", "ask", "status", "answer", "sent"), [each for each in CALLS if each[3]], ids=[c[0] for c in CALLS if c[3]]
)
def test_a_body_out_of_contract_is_malformed(line: str, ask: Ask, status: int, answer: Any, sent: Any) -> None:
    async def story() -> None:
        got = await ask(Peer(reply(status, b'{"unexpected": ')).github)
        assert isinstance(got, Failed) and got.kind is FailureClass.MALFORMED

    run(story())


def test_a_runner_versions_end_may_be_a_day_or_a_time() -> None:
    async def story() -> None:
        for said, meant in (
            ("2026-12-01", datetime(2026, 12, 1, tzinfo=UTC)),
            ("2026-12-01T10:00:00Z", datetime(2026, 12, 1, 10, tzinfo=UTC)),
            (None, None),
        ):
            end = await Peer(reply(200, {"runtime_deprecates_at": said})).github.runner_deprecations(REPO, "2.3")
            assert not isinstance(end, Failed) and end.runtime_deprecates_at == meant
        odd = await Peer(reply(200, {"runtime_deprecates_at": "soon"})).github.runner_deprecations(REPO, "2.3")
        assert isinstance(odd, Failed) and odd.kind is FailureClass.MALFORMED

    run(story())


def pages(total: int, *, link: bool = True, lose: int = 0) -> Callable[[httpx2.Request], httpx2.Response]:
    """A list of runners in pages; `lose`: so many of the last page are missing."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        page = int(request.url.params["page"])
        ids = range((page - 1) * 100, min(page * 100, total) - (lose if page * 100 >= total else 0))
        more = {"link": f'<{request.url}>; rel="next"'} if page * 100 < total else {"link": '<x>; rel="first"'}
        runners = [{"id": each, "name": f"r{each}"} for each in ids]
        return reply(200, {"total_count": total, "runners": runners}, **(more if link else {}))

    return answer


@pytest.mark.parametrize("link", [True, False])
@pytest.mark.parametrize("total", [0, 1, 99, 100, 101, 250, 300])
def test_a_list_is_read_to_its_end(total: int, link: bool) -> None:
    async def story() -> None:
        peer = Peer(pages(total, link=link))
        listed = await peer.github.list_runners(REPO)
        assert not isinstance(listed, Failed)
        assert [each.id for each in listed.items] == list(range(total))
        assert len(peer.asked) == max(1, -(-total // 100))

    run(story())


@pytest.mark.parametrize("total", [1, 100, 150])
def test_a_list_that_is_cut_short_is_no_list(total: int) -> None:
    async def story() -> None:
        listed = await Peer(pages(total, lose=1)).github.list_runners(REPO)
        assert isinstance(listed, Failed) and listed.kind is FailureClass.MALFORMED

    run(story())


def test_a_page_that_fails_fails_the_list() -> None:
    async def story() -> None:
        first = pages(150)
        peer = Peer(first, reply(502))
        listed = await peer.github.list_runners(REPO)
        assert isinstance(listed, Failed) and listed.kind is FailureClass.RETRY_LATER

    run(story())


def test_an_endless_list_ends() -> None:
    async def story() -> None:
        runners = [{"id": each, "name": "r"} for each in range(100)]
        body = {"total_count": 10**6, "runners": runners}
        peer = Peer(reply(200, body, link='<x>; rel="next"'))
        listed = await peer.github.list_runners(REPO)
        assert isinstance(listed, Failed) and len(peer.asked) == 110

    run(story())


def test_no_runs_where_some_were_promised_is_not_read_as_none() -> None:
    async def story() -> None:
        peer = Peer(reply(200, {"total_count": 3, "workflow_runs": []}))
        listed = await peer.github.runs("acme/app", "queued")
        assert isinstance(listed, Failed) and listed.kind is FailureClass.MALFORMED

    run(story())


def test_only_a_whole_answer_says_that_a_runner_is_absent() -> None:
    async def story() -> None:
        for body, absent in (
            ({"total_count": 0, "runners": []}, True),
            ({"total_count": 1, "runners": [RUNNER]}, True),
            ({"total_count": 1, "runners": []}, False),
        ):
            found = await Peer(reply(200, body)).github.find_runner(REPO, "other")
            assert (found is None) is absent

    run(story())


@pytest.mark.parametrize("link", [True, False])
@pytest.mark.parametrize(("name", "lose", "found"), [("r0", 0, "r0"), ("r499", 0, "r499"), ("x", 0, None), ("x", 1, 1)])
def test_a_server_that_does_not_filter_by_name_is_read_to_the_end(
    name: str, lose: int, found: str | int | None, link: bool
) -> None:
    async def story() -> None:
        listed = pages(500, link=link, lose=lose)

        def answer(request: httpx2.Request) -> httpx2.Response:
            page = request.url.params.get("page", "1")
            return listed(httpx2.Request("GET", request.url.copy_set_param("page", page)))

        peer = Peer(answer)
        got = await peer.github.find_runner(REPO, name)
        if isinstance(got, Failed):
            assert (found, got.kind) == (1, FailureClass.MALFORMED)
        else:
            assert (got and got.name) == found
        assert len(peer.asked) == (1 if name == "r0" else 6)

    run(story())


def test_the_delivery_log_is_read_page_by_page() -> None:
    async def story() -> None:
        link = f'<https://api.github.test{R}/hooks/4/deliveries?per_page=100&cursor=v1_17%3D>; rel="next"'
        peer = Peer(reply(200, [DELIVERY], link=link), reply(200, []))
        first = await peer.github.deliveries(LOG)
        assert not isinstance(first, Failed) and first.next == "v1_17="
        assert not first.items[0].succeeded
        second = await peer.github.deliveries(LOG, cursor=first.next)
        assert not isinstance(second, Failed) and second.next is None
        assert peer.lines[1].endswith("cursor=v1_17%3D")

    run(story())


@pytest.mark.parametrize("link", [None, "", "x", '<https://x?a=1>; rel="next"', '<https://x?cursor=1>; rel="prev"'])
def test_no_next_page_without_a_cursor(link: str | None) -> None:
    assert next_cursor(link) is None


def test_the_manifest_flow_needs_no_credential_and_shows_no_secret() -> None:
    async def story() -> None:
        peer = Peer(reply(201, MADE), credentials=Anonymous())
        made = await peer.github.convert_manifest("c/1")
        assert not isinstance(made, Failed) and made.pem == "KEY"
        assert "KEY" not in repr(made)
        assert peer.lines == ["POST /app-manifests/c%2F1/conversions"]
        assert "authorization" not in peer.asked[0].headers

    run(story())


def states(request: httpx2.Request, unknown: frozenset[str] = frozenset()) -> httpx2.Response:
    ids = httpx2.Response(200, content=request.content).json()["variables"]["ids"]
    nodes = [None if each in unknown else {"id": each, "status": "IN_PROGRESS", "conclusion": None} for each in ids]
    errors = [
        {"type": "NOT_FOUND", "path": ["nodes", at], "message": "Could not resolve to a node"}
        for at, each in enumerate(ids)
        if each in unknown
    ]
    return reply(200, {"data": {"nodes": nodes}, **({"errors": errors} if errors else {})})


@pytest.mark.parametrize(("count", "calls"), [(0, 0), (1, 1), (100, 1), (101, 2), (1000, 10)])
def test_many_jobs_cost_one_call_a_hundred(count: int, calls: int) -> None:
    async def story() -> None:
        peer = Peer(states)
        got = await peer.github.check_states("acme", [f"CR_{each}" for each in range(count)])
        assert not isinstance(got, Failed)
        assert len(got.known) == count and got.unknown == ()
        assert got.calls == len(peer.asked) == calls
        assert all(each.status == "in_progress" for each in got.known.values())

    run(story())


def test_a_job_that_graphql_does_not_know_is_unknown_not_gone() -> None:
    async def story() -> None:
        peer = Peer(lambda request: states(request, frozenset({"b"})))
        got = await peer.github.check_states("acme", ["a", "b", "c", "a"])
        assert not isinstance(got, Failed)
        assert (sorted(got.known), got.unknown) == (["a", "c"], ("b",))

    run(story())


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}, FailureClass.RATE_LIMITED),
        ({"errors": [{"message": "Something went wrong while executing your query."}]}, FailureClass.RETRY_LATER),
        ({"errors": [{"type": "INSUFFICIENT_SCOPES", "message": "x"}], "data": None}, FailureClass.FORBIDDEN),
        ({"errors": [{"type": "FORBIDDEN", "path": ["nodes"], "message": "x"}], "data": None}, FailureClass.FORBIDDEN),
        ({"errors": [{"type": "NOT_FOUND", "path": ["node"], "message": "x"}]}, FailureClass.GONE),
        ({"errors": [{"extensions": {"code": "undefinedField"}, "message": "x"}]}, FailureClass.BUG),
        ({"errors": [{"type": "UNPROCESSABLE", "message": "x"}]}, FailureClass.INVALID),
        ({"data": None}, FailureClass.MALFORMED),
        ({}, FailureClass.MALFORMED),
        ([], FailureClass.MALFORMED),
        ({"data": {"nodes": []}}, FailureClass.MALFORMED),
        ({"data": {}}, FailureClass.MALFORMED),
    ],
)
def test_graphqls_errors_are_classified_too(body: Any, kind: FailureClass) -> None:
    async def story() -> None:
        peer = Peer(reply(200, body))
        got = await peer.github.check_states("acme", ["a"])
        assert isinstance(got, Failed) and got.kind is kind

    run(story())


def test_a_limit_inside_a_graphql_answer_is_obeyed() -> None:
    async def story() -> None:
        peer = Peer(reply())
        said = quota(5000, 0, peer.clock.now() + timedelta(minutes=5), resource="graphql")
        limited = reply(200, {"errors": [{"type": "RATE_LIMITED", "message": "x"}]}, **said)
        peer.answers = [limited, reply(200, {"total_count": 0, "workflow_runs": []}), states]
        assert isinstance(await peer.github.check_states("acme", ["a"]), Failed)
        assert isinstance(await peer.github.check_states("acme", ["a"]), Failed)
        assert len(peer.asked) == 1
        assert not isinstance(await peer.github.runs("acme/app", "queued"), Failed), "another bucket"
        peer.clock.advance(300)
        assert not isinstance(await peer.github.check_states("acme", ["a"]), Failed)

    run(story())


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a b", "ä", "?x=1", "#", "%2e"])
def test_a_name_is_one_segment_of_the_path_whatever_it_holds(name: str) -> None:
    async def story() -> None:
        peer = Peer(reply(200, LABELS))
        await peer.github.remove_runner_label(REPO, 5, name)
        path = peer.asked[0].url.raw_path.decode()
        assert path == f"{A}/runners/5/labels/{segment(name)}"
        assert path.count("/") == 8 and "?" not in path and "#" not in path

    run(story())
