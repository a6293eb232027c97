"""Budgets an hour, ETags, secondary limits, and the truth about callers who do not wait."""

from tests.support.sandbox_api import through

JIT = {"name": "r1", "runner_group_id": 1, "labels": ["self-hosted"]}
MINT = "/repos/acme/app/actions/runners/generate-jitconfig"
APP = "/repos/acme/app"


async def with_repository(caller):
    await caller.control("repositories", {"repository": "acme/app"})
    return caller.ask


def test_a_budget_is_used_up_refused_and_new_after_an_hour():
    async def story(caller):
        ask = await with_repository(caller)
        await caller.control("limits", {"core": 3})
        left = [(await ask("GET", APP)).headers["x-ratelimit-remaining"] for _ in range(3)]
        assert left == ["2", "1", "0"]
        refused = await ask("GET", APP)
        assert refused.status == 403 and refused.headers["x-ratelimit-remaining"] == "0"
        assert refused.body["message"].startswith("API rate limit exceeded for token ")
        assert refused.headers["x-ratelimit-used"] == "3" and refused.headers["x-ratelimit-resource"] == "core"
        reset = int(refused.headers["x-ratelimit-reset"])
        assert reset - caller.clock.now().timestamp() == 3600
        # Somebody else has a budget of his own.
        assert (await ask("GET", APP, token="another")).status == 200
        truth = (await caller.truth())["rate_limits"]
        assert [call["endpoint"] for call in truth["calls_over_limit"]] == ["GET /repos/{owner}/{repo}"]
        caller.clock.advance(3600)
        assert (await ask("GET", APP)).headers["x-ratelimit-remaining"] == "2"

    through(story)


def test_rate_limit_shows_all_budgets_and_costs_nothing():
    async def story(caller):
        ask = await with_repository(caller)
        await ask("GET", APP)
        await ask("POST", "/repos/acme/app/actions/runners/registration-token")
        for _ in range(2):
            shown = (await ask("GET", "/rate_limit")).body["resources"]
        assert (shown["core"]["used"], shown["core"]["limit"]) == (1, 5000)
        assert shown["actions_runner_registration"]["used"] == 1 and shown["graphql"]["used"] == 0

    through(story)


def test_minting_uses_the_budget_that_is_configured():
    async def story(caller):
        ask = await with_repository(caller)
        assert (await ask("POST", MINT, JIT)).headers["x-ratelimit-resource"] == "core"
        await caller.control("limits", {"jit_resource": "actions_runner_registration"})
        told = await ask("POST", MINT, {**JIT, "name": "r2"})
        assert told.headers["x-ratelimit-resource"] == "actions_runner_registration"

    through(story)


def test_one_caller_can_have_limits_of_his_own():
    async def story(caller):
        ask = await with_repository(caller)
        await caller.control("tokens", {"token": "a", "login": "ann", "scopes": ["repo"]})
        await caller.control("tokens", {"token": "b", "login": "bob", "scopes": ["repo"]})
        await caller.control("limits", {"caller": "user ann", "core": 1})
        assert (await ask("GET", APP, token="a")).status == 200
        assert (await ask("GET", APP, token="a")).status == 403
        assert (await ask("GET", APP, token="b")).headers["x-ratelimit-limit"] == "5000"
        assert (await caller.ask("POST", "/_sandbox/limits", {"core": 0})).status == 422

    through(story)


def test_a_304_is_free_and_an_etag_holds_for_its_token_only():
    async def story(caller):
        ask = await with_repository(caller)
        first = await ask("GET", APP)
        seen = {"if-none-match": first.headers["etag"]}
        same = await ask("GET", APP, headers=seen)
        assert same.status == 304 and same.body == b"" and same.headers["x-ratelimit-used"] == "1"
        other = await ask("GET", APP, token="another", headers=seen)
        assert other.status == 200 and other.headers["etag"] != first.headers["etag"]
        await caller.control("repositories", {"repository": "acme/app", "private": False})
        assert (await ask("GET", APP, headers=seen)).status == 200

    through(story)


def test_a_call_before_retry_after_ran_out_is_counted():
    async def story(caller):
        ask = await with_repository(caller)
        await caller.fault("api_error", status=429, seconds=30, match={"endpoint": "/repos/{owner}/{repo}"})
        told = await ask("GET", APP)
        assert told.status == 429 and told.headers["retry-after"] == "30"
        caller.clock.advance(29)
        assert (await ask("GET", "/repos/acme/app/actions/runs")).status == 200
        (early,) = (await caller.truth())["rate_limits"]["calls_too_early"]
        assert early["endpoint"] == "GET /repos/{owner}/{repo}/actions/runs" and early["after_status"] == 429
        assert (early["seconds_after_refusal"], early["seconds_early"]) == (29, 1)
        caller.clock.advance(1)
        await ask("GET", APP)
        await caller.fault("api_error", status=503, seconds=9, match={"endpoint": "/repos/{owner}/{repo}"})
        await ask("GET", APP)
        # A server that is overloaded asks to wait with this call only.
        await ask("GET", "/repos/acme/app/actions/runs")
        assert len((await caller.truth())["rate_limits"]["calls_too_early"]) == 1
        await ask("GET", APP)
        assert len((await caller.truth())["rate_limits"]["calls_too_early"]) == 2

    through(story)


def test_a_limit_that_a_fault_imposes_holds_for_all_calls_of_its_caller():
    async def story(caller):
        ask = await with_repository(caller)
        for kind, status, words in (
            ("api_rate_limited", 429, "API rate limit exceeded"),
            ("api_secondary_limit", 403, "secondary rate limit"),
        ):
            await caller.fault(kind, seconds=60)
            told = await ask("GET", APP)
            assert (told.status, told.headers["retry-after"]) == (status, "60") and words in told.body["message"]
            caller.clock.advance(20)
            told = await ask("POST", MINT, JIT)
            assert (told.status, told.headers["retry-after"]) == (status, "40")
            assert (await ask("GET", APP, token="another")).status == 200
            caller.clock.advance(40)
            assert (await ask("GET", APP)).status == 200
        assert len((await caller.truth())["rate_limits"]["calls_too_early"]) == 2

    through(story)


def test_secondary_limits_count_points_and_content():
    async def story(caller):
        ask = await with_repository(caller)
        await caller.control("limits", {"secondary": True, "points_per_minute": 10, "content_per_minute": 3})
        statuses = [(await ask("POST", MINT, {**JIT, "name": f"r{number}"})).status for number in range(3)]
        assert statuses == [201, 201, 403]
        caller.clock.advance(60)
        assert (await ask("POST", MINT, {**JIT, "name": "r9"})).status == 201
        await caller.control("limits", {"secondary": True, "points_per_minute": 900, "content_per_minute": 3})
        issues = "/repos/acme/app/issues"
        statuses = [(await ask("POST", issues, {"title": "x"})).status for _ in range(4)]
        assert statuses == [201, 201, 201, 403]

    through(story)
