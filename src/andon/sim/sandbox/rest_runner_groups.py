"""GitHub's endpoints for runner groups of organisations (contract sections 3 and 4b)."""

from collections.abc import Callable
from typing import Any

from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply, page_of
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Runner, RunnerGroup
from andon.sim.sandbox.refusals import not_found
from andon.sim.sandbox.runner_json import runner_json


def group_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """List groups, get one, list its runners, move a runner in and out."""
    world = sandbox.world

    def groups_of(asked: Asked) -> list[RunnerGroup]:
        org = sandbox.runners.known_scope(asked.path["org"])
        return [group for group in world.runner_groups.values() if group.owner in (None, org)]

    def group_of(asked: Asked) -> RunnerGroup:
        found = next((group for group in groups_of(asked) if group.id == asked.path["runner_group_id"]), None)
        if found is None:
            raise not_found()
        return found

    def runner_of(asked: Asked) -> Runner:
        return sandbox.runners.get(asked.path["org"], asked.path["runner_id"])

    def list_all(asked: Asked) -> Reply:
        return page_of(asked, groups_of(asked), "runner_groups", lambda group: _group_json(group, asked))

    def get(asked: Asked) -> Reply:
        return Reply(body=_group_json(group_of(asked), asked))

    def runners(asked: Asked) -> Reply:
        group = group_of(asked)
        found = [runner for runner in sandbox.runners.list(asked.path["org"]) if runner.group_id == group.id]
        return page_of(asked, found, "runners", runner_json)

    def move(asked: Asked) -> Reply:
        group, runner = group_of(asked), runner_of(asked)
        runner.group_id, runner.group_name = group.id, group.name
        return Reply(status=204)

    def take_out(asked: Asked) -> Reply:
        group, runner = group_of(asked), runner_of(asked)
        if runner.group_id == group.id:
            runner.group_id, runner.group_name = 1, world.runner_groups[1].name
        return Reply(status=204)

    groups = "/orgs/{org}/actions/runner-groups"
    one = f"{groups}/{{runner_group_id}}"
    table: list[tuple[str, str, Callable[[Asked], Reply]]] = [
        ("GET", groups, list_all),
        ("GET", one, get),
        ("GET", f"{one}/runners", runners),
        ("PUT", f"{one}/runners/{{runner_id}}", move),
        ("DELETE", f"{one}/runners/{{runner_id}}", take_out),
    ]
    return [
        Endpoint(
            method=method,
            template=path,
            answer=answer,
            permission=f"organization_self_hosted_runners:{'read' if method == 'GET' else 'write'}",
            scope="admin:org",
        )
        for method, path, answer in table
    ]


def _group_json(group: RunnerGroup, asked: Asked) -> dict[str, Any]:
    url = f"{asked.base_url}/orgs/{asked.path['org']}/actions/runner-groups/{group.id}"
    return {
        "id": group.id,
        "name": group.name,
        "visibility": group.visibility,
        "default": group.owner is None,
        "runners_url": f"{url}/runners",
        "inherited": False,
        "allows_public_repositories": group.allows_public,
        "restricted_to_workflows": False,
        "selected_workflows": [],
        "workflow_restrictions_read_only": False,
        **({"selected_repositories_url": f"{url}/repositories"} if group.visibility == "selected" else {}),
    }
