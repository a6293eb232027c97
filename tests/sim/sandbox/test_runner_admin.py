"""Runners through the API: labels, groups, tokens, deprecated versions, and GitHub's refusals."""

import pytest

from tests.support.sandbox_api import through

JIT = {"name": "r1", "runner_group_id": 1, "labels": ["self-hosted", "Linux", "rust"]}


def names(told):
    return [label["name"] for label in told.body["labels"]]


@pytest.mark.parametrize("at", ["/repos/acme/app", "/orgs/acme"])
def test_custom_labels_change_and_default_ones_do_not(at):
    async def story(caller):
        ask = caller.ask
        await caller.control("repositories", {"repository": "acme/app"})
        runner = (await ask("POST", f"{at}/actions/runners/generate-jitconfig", JIT)).body["runner"]
        path = f"{at}/actions/runners/{runner['id']}/labels"
        assert [label["type"] for label in (await ask("GET", path)).body["labels"]] == [
            "read-only",
            "read-only",
            "custom",
        ]
        assert names(await ask("POST", path, {"labels": ["gpu", "RUST"]})) == ["self-hosted", "Linux", "rust", "gpu"]
        assert names(await ask("DELETE", f"{path}/gpu")) == ["self-hosted", "Linux", "rust"]
        assert (await ask("DELETE", f"{path}/gpu")).status == 404
        assert (await ask("DELETE", f"{path}/linux")).status == 422
        assert names(await ask("PUT", path, {"labels": ["new"]})) == ["self-hosted", "Linux", "new"]
        assert names(await ask("DELETE", path)) == ["self-hosted", "Linux"]
        assert (await ask("POST", path, {"labels": []})).status == 422
        assert (await ask("GET", f"{at}/actions/runners/99/labels")).status == 404

    through(story)


def test_an_idle_runner_with_a_new_label_gets_the_job_that_waited_for_it(fleet, make_job):
    (made,) = fleet.run(make_job("a", labels=("self-hosted", "gpu")))
    listener = fleet.listener()
    assert listener.poll() is None
    fleet.github.runners.set_labels(listener.runner, [*listener.runner.labels, "gpu"])
    assert listener.take() is made
    (again,) = fleet.run(make_job("b", labels=("self-hosted", "gpu")))
    idle = fleet.listener(labels=("self-hosted", "gpu"))
    idle.finish(idle.take())
    other = fleet.listener(labels=("self-hosted", "gpu"))
    fleet.github.runners.set_labels(other.runner, ["self-hosted"])
    fleet.run(make_job("c", labels=("self-hosted", "gpu")))
    assert other.poll() is None and again.conclusion == "success"


def test_groups_are_listed_refused_and_moved_between():
    async def story(caller):
        ask = caller.ask
        await caller.control("repositories", {"repository": "acme/app"})
        await caller.control("repositories", {"repository": "other/app"})
        group = (await caller.control("runner_groups", {"org": "acme", "name": "gpu"}))["id"]
        theirs = (await caller.control("runner_groups", {"org": "other", "name": "x"}))["id"]
        mint = "/orgs/acme/actions/runners/generate-jitconfig"
        assert (await ask("POST", mint, {**JIT, "runner_group_id": theirs})).status == 403
        assert (await ask("POST", mint, {**JIT, "runner_group_id": 77})).status == 404
        made = await ask("POST", mint, {**JIT, "runner_group_id": group})
        assert made.status == 201
        groups = "/orgs/acme/actions/runner-groups"
        assert [each["name"] for each in (await ask("GET", groups)).body["runner_groups"]] == ["Default", "gpu"]
        assert (await ask("GET", f"{groups}/{theirs}")).status == 404
        runner = made.body["runner"]["id"]
        assert (await ask("GET", f"{groups}/{group}/runners")).body["total_count"] == 1
        assert (await ask("DELETE", f"{groups}/{group}/runners/{runner}")).status == 204
        assert (await ask("GET", f"{groups}/{group}/runners")).body["total_count"] == 0
        assert (await ask("PUT", f"{groups}/{group}/runners/{runner}")).status == 204
        assert (await ask("GET", f"/orgs/acme/actions/runners/{runner}")).body["runner_group_id"] == group

    through(story)


@pytest.mark.parametrize("at", ["/repos/acme/app", "/orgs/acme"])
def test_registration_tokens_and_the_end_of_versions(at):
    async def story(caller):
        ask = caller.ask
        await caller.control("repositories", {"repository": "acme/app"})
        for kind in ("registration-token", "remove-token"):
            told = await ask("POST", f"{at}/actions/runners/{kind}")
            assert told.status == 201 and told.body["expires_at"] == "2026-01-01T01:00:00Z"
        downloads = (await ask("GET", f"{at}/actions/runners/downloads")).body
        assert {one["os"] for one in downloads} == {"linux", "osx", "win"}
        end = {"version": "2.329.0", "runtime_deprecates_at": "2026-03-01T00:00:00Z"}
        await caller.control("runner_versions", end)
        told = await ask("GET", f"{at}/actions/runners/deprecations/2.329.0")
        assert told.body["runtime_deprecates_at"] == end["runtime_deprecates_at"]
        told = await ask("GET", f"{at}/actions/runners/deprecations/2.336.0")
        assert told.body["runtime_deprecates_at"] is None and told.status == 200
        assert (await ask("GET", f"{at}/actions/runners/deprecations/new")).status == 404

    through(story)
