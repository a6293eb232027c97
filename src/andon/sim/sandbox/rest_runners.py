"""GitHub's endpoints for runners, at repositories and at organisations (contract section 3)."""

from typing import Any

import msgspec

from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply, page_of
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.jit_config import encoded_config
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.runner_json import runner_json


class _JitRequest(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    runner_group_id: int
    labels: tuple[str, ...]
    work_folder: str = "_work"


def runner_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """Mint, list, get and delete."""

    def mint(asked: Asked) -> Reply:
        scope = sandbox.runners.known_scope(asked.scope)
        try:
            wanted = msgspec.convert(asked.body, _JitRequest)
        except msgspec.ValidationError as error:
            raise ApiError(422, f"Invalid request.\n\n{error}") from None
        runner = sandbox.runners.register(
            scope,
            name=wanted.name,
            labels=wanted.labels,
            group_id=wanted.runner_group_id,
            work_folder=wanted.work_folder,
        )
        config = encoded_config(runner, asked.base_url)
        return Reply(status=201, body={"runner": runner_json(runner), "encoded_jit_config": config})

    def list_all(asked: Asked) -> Reply:
        found: list[Any] = [*sandbox.runners.list(asked.scope, name=asked.query.get("name"))]
        return page_of(asked, found, "runners", runner_json)

    def get(asked: Asked) -> Reply:
        return Reply(body=runner_json(sandbox.runners.get(asked.scope, asked.path["runner_id"])))

    def delete(asked: Asked) -> Reply:
        sandbox.runners.delete(asked.scope, asked.path["runner_id"])
        return Reply(status=204)

    out: list[Endpoint] = []
    for place in ("/repos/{owner}/{repo}", "/orgs/{org}"):
        runners = f"{place}/actions/runners"
        out += [
            Endpoint(method="POST", template=f"{runners}/generate-jitconfig", answer=mint),
            Endpoint(method="GET", template=runners, answer=list_all),
            Endpoint(method="GET", template=f"{runners}/{{runner_id}}", answer=get),
            Endpoint(method="DELETE", template=f"{runners}/{{runner_id}}", answer=delete),
        ]
    return out
