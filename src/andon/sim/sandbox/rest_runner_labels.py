"""GitHub's endpoints for the labels of a runner: the default ones are read-only (contract section 4b)."""

from collections.abc import Callable

import msgspec

from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Runner
from andon.sim.sandbox.refusals import ApiError, not_found
from andon.sim.sandbox.runner_json import is_default_label, labels_json


class _Labels(msgspec.Struct, frozen=True, kw_only=True):
    labels: tuple[str, ...]


def label_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """List, add, replace, remove one, remove all."""

    def runner_of(asked: Asked) -> Runner:
        return sandbox.runners.get(asked.scope, asked.path["runner_id"])

    def show(runner: Runner) -> Reply:
        labels = labels_json(runner)
        return Reply(body={"total_count": len(labels), "labels": labels})

    def read_only(runner: Runner) -> list[str]:
        return [label for label in runner.labels if is_default_label(label)]

    def set_labels(runner: Runner, labels: list[str]) -> Reply:
        if len(labels) > 100 or not all(labels):
            raise ApiError(422, "Validation Failed: a runner has at most 100 labels, none of them empty.")
        sandbox.runners.set_labels(runner, labels)
        return show(runner)

    def list_all(asked: Asked) -> Reply:
        return show(runner_of(asked))

    def add(asked: Asked) -> Reply:
        runner, wanted = runner_of(asked), asked.read(_Labels).labels
        if not wanted:
            raise ApiError(422, 'Validation Failed: "labels" holds at least one label.')
        return set_labels(runner, [*runner.labels, *wanted])

    def replace(asked: Asked) -> Reply:
        runner = runner_of(asked)
        return set_labels(runner, [*read_only(runner), *asked.read(_Labels).labels])

    def remove_all(asked: Asked) -> Reply:
        runner = runner_of(asked)
        return set_labels(runner, read_only(runner))

    def remove(asked: Asked) -> Reply:
        runner, name = runner_of(asked), asked.path["name"].lower()
        if name not in runner.offers:
            raise not_found()
        if is_default_label(name):
            raise ApiError(422, f"Validation Failed: {name!r} is a read-only label and cannot be removed.")
        return set_labels(runner, [label for label in runner.labels if label.lower() != name])

    out: list[Endpoint] = []
    for place, permission, scope in (
        ("/repos/{owner}/{repo}", "administration", "repo"),
        ("/orgs/{org}", "organization_self_hosted_runners", "admin:org"),
    ):
        labels = f"{place}/actions/runners/{{runner_id}}/labels"
        table: list[tuple[str, str, Callable[[Asked], Reply]]] = [
            ("GET", labels, list_all),
            ("POST", labels, add),
            ("PUT", labels, replace),
            ("DELETE", labels, remove_all),
            ("DELETE", f"{labels}/{{name}}", remove),
        ]
        out += [
            Endpoint(
                method=method,
                template=path,
                answer=answer,
                permission=f"{permission}:{'read' if method == 'GET' else 'write'}",
                scope=scope,
            )
            for method, path, answer in table
        ]
    return out
