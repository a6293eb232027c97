"""GraphQL: states of check runs by node id, with variables and with holes; pins of issues."""

import pytest

from tests.support.sandbox_api import through

RUN = {"repository": "acme/app", "jobs": [{"name": "a"}, {"name": "b"}]}
STATES = """
query States($ids: [ID!]!) {
  nodes(ids: $ids) { __typename ... on CheckRun { id databaseId status conclusion } }
  rateLimit { cost remaining resetAt }
}
"""


def test_states_of_jobs_come_in_one_call_with_holes_named():
    async def story(caller):
        made = await caller.control("runs", RUN)
        ids = [f"CR_sandbox{number}" for number in made["jobs"]]
        told = await caller.ask(
            "POST", "/graphql", {"query": STATES, "variables": {"ids": [ids[0], "CR_none", ids[1]]}}
        )
        assert told.status == 200 and told.headers["x-ratelimit-resource"] == "graphql"
        first, hole, second = told.body["data"]["nodes"]
        assert first == {
            "__typename": "CheckRun",
            "id": ids[0],
            "databaseId": made["jobs"][0],
            "status": "QUEUED",
            "conclusion": None,
        }
        assert hole is None and second["databaseId"] == made["jobs"][1]
        (error,) = told.body["errors"]
        assert (error["type"], error["path"]) == ("NOT_FOUND", ["nodes", 1]) and "CR_none" in error["message"]
        assert told.body["data"]["rateLimit"]["cost"] == 1
        run = caller.github.world.runs[made["run_id"]]
        caller.github.runs.cancel(run)
        written = f'{{ nodes(ids: ["{ids[0]}", "{ids[1]}"]) {{ ... on CheckRun {{ state: status conclusion }} }} }}'
        told = await caller.ask("POST", "/graphql", {"query": written})
        assert told.body["data"]["nodes"] == [{"state": "COMPLETED", "conclusion": "CANCELLED"}] * 2

    through(story)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"query": "{ nodes(ids: ["}, "Parse error"),
        ({"query": "{ what }"}, "what"),
        ({"query": STATES}, "ids"),
        ({"query": STATES, "variables": {"ids": ["x"] * 101}}, "100"),
        ({"query": "{ nodes { id } }"}, "ids"),
        ({"query": "subscription { x }"}, "query or mutation"),
    ],
)
def test_a_query_that_cannot_be_answered_says_so_in_its_body(body, words):
    async def story(caller):
        told = await caller.ask("POST", "/graphql", body)
        assert told.status == 200 and words in told.body["errors"][0]["message"]

    through(story)


def test_an_installation_sees_its_own_nodes_only():
    async def story(caller):
        made = await caller.control("runs", {**RUN, "repository": "other/app"})
        app, installation = await caller.installed({"checks": "read"})
        token = await caller.installation_token(app, installation)
        variables = {"ids": [f"CR_sandbox{made['jobs'][0]}"]}
        told = await caller.ask("POST", "/graphql", {"query": STATES, "variables": variables}, token=token)
        assert told.body["data"]["nodes"] == [None]

    through(story)


def test_at_most_three_issues_are_pinned():
    async def story(caller):
        await caller.control("repositories", {"repository": "acme/app"})
        pin = "mutation($id: ID!) { pinIssue(input: {issueId: $id}) { issue { number isPinned } } }"
        nodes = [(await caller.ask("POST", "/repos/acme/app/issues", {"title": "x"})).body["node_id"] for _ in range(4)]
        for node in nodes[:3]:
            told = await caller.ask("POST", "/graphql", {"query": pin, "variables": {"id": node}})
            assert told.body["data"]["pinIssue"]["issue"]["isPinned"] is True
        told = await caller.ask("POST", "/graphql", {"query": pin, "variables": {"id": nodes[3]}})
        assert told.body["data"]["pinIssue"] is None and "Maximum 3" in told.body["errors"][0]["message"]
        unpin = {"query": pin.replace("pinIssue", "unpinIssue"), "variables": {"id": nodes[0]}}
        assert (await caller.ask("POST", "/graphql", unpin)).body["data"]["unpinIssue"]["issue"]["isPinned"] is False
        told = await caller.ask("POST", "/graphql", {"query": pin, "variables": {"id": nodes[3]}})
        assert told.body["data"]["pinIssue"]["issue"]["number"] == 4
        told = await caller.ask("POST", "/graphql", {"query": pin, "variables": {"id": "I_none"}})
        assert told.body["errors"][0]["type"] == "NOT_FOUND"

    through(story)
