"""GitHub's GraphQL endpoint, as far as a fleet uses it: states of check runs by node id, and pins.

A node that is not there is null in its place and named in `errors`, and the rest is answered.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from andon.sim.sandbox.callers import Caller
from andon.sim.sandbox.check_run_json import check_run_json
from andon.sim.sandbox.check_runs import CheckRun
from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.graphql_query import Operation, Selection, parse
from andon.sim.sandbox.issue_json import issue_json
from andon.sim.sandbox.issues import Issue
from andon.sim.sandbox.records import Job
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.repository_json import stamp

_MOST_NODES = 100
_CHECK_PREFIX = "CR_sandbox"


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    query: str
    variables: dict[str, Any] | None = None


class _Errors:
    """What could not be answered, next to what could."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def add(self, kind: str, path: list[str | int], message: str) -> None:
        self.found.append({"type": kind, "path": path, "message": message})


def graphql_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """The one endpoint."""

    def answer(asked: Asked) -> Reply:
        wanted = asked.read(_Request)
        errors = _Errors()
        try:
            operation = parse(wanted.query, wanted.variables or {})
            data = _carry_out(sandbox, asked, operation, errors)
        except ApiError as refusal:
            return Reply(body={"errors": [{"message": refusal.message}]})
        body: dict[str, Any] = {"data": data}
        return Reply(body={**body, "errors": errors.found} if errors.found else body)

    return [Endpoint(method="POST", template="/graphql", answer=answer, resource="graphql")]


def _carry_out(sandbox: SandboxGitHub, asked: Asked, operation: Operation, errors: _Errors) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for field in operation.selections:
        path: list[str | int] = [field.alias]
        if operation.kind == "mutation":
            data[field.alias] = _mutate(sandbox, asked, field, path, errors)
        elif field.name == "nodes":
            ids = field.arguments.get("ids")
            if not isinstance(ids, list):
                raise ApiError(200, "Field 'nodes' is missing required arguments: ids")
            ids = [str(one) for one in ids]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            if len(ids) > _MOST_NODES:
                raise ApiError(200, f"You may not provide more than {_MOST_NODES} node ids; you provided {len(ids)}.")
            data[field.alias] = [
                _node(sandbox, asked, one, field, [*path, place], errors) for place, one in enumerate(ids)
            ]
        elif field.name == "node":
            data[field.alias] = _node(sandbox, asked, str(field.arguments.get("id")), field, path, errors)
        elif field.name == "rateLimit":
            data[field.alias] = _rate_limit(sandbox, asked, field)
        elif field.name == "viewer":
            data[field.alias] = _shown({"login": asked.login, "__typename": "User"}, field, "User")
        else:
            raise ApiError(200, f"Field '{field.name}' doesn't exist on type 'Query'")
    return data


def _node(
    sandbox: SandboxGitHub, asked: Asked, node_id: str, field: Selection, path: list[str | int], errors: _Errors
) -> dict[str, Any] | None:
    found = _find(sandbox, asked.caller, node_id)
    if found is None:
        errors.add("NOT_FOUND", path, f"Could not resolve to a node with the global id of '{node_id}'")
        return None
    if isinstance(found, Issue):
        return _shown(_issue(sandbox, asked, found), field, "Issue")
    shown = check_run_json(found, sandbox.world, asked.base_url)
    values = {
        "__typename": "CheckRun",
        "id": node_id,
        "databaseId": found.id,
        "name": shown["name"],
        "status": str(shown["status"]).upper(),
        "conclusion": str(shown["conclusion"]).upper() if shown["conclusion"] else None,
        "startedAt": shown["started_at"],
        "completedAt": shown["completed_at"],
        "detailsUrl": shown["details_url"],
        "permalink": shown["html_url"],
        "url": shown["html_url"],
        "externalId": shown["external_id"],
    }
    return _shown(values, field, "CheckRun")


def _find(sandbox: SandboxGitHub, caller: Caller | None, node_id: str) -> CheckRun | Job | Issue | None:
    found: CheckRun | Job | Issue | None = None
    number = node_id.removeprefix(_CHECK_PREFIX)
    if node_id.startswith(_CHECK_PREFIX) and number.isascii() and number.isdigit():
        found = sandbox.check_runs.find(int(number))
    else:
        found = next((issue for issue in sandbox.issues.all() if issue.node_id == node_id), None)
    if found is None or caller is None:
        return None
    repository = found.run.repository if isinstance(found, Job) else found.repository
    if caller.installation is not None and not caller.installation.covers(repository):
        return None
    if caller.repositories is not None and repository.key not in caller.repositories:
        return None
    return found


def _mutate(
    sandbox: SandboxGitHub, asked: Asked, field: Selection, path: list[str | int], errors: _Errors
) -> dict[str, Any] | None:
    if field.name not in ("pinIssue", "unpinIssue"):
        raise ApiError(200, f"Field '{field.name}' doesn't exist on type 'Mutation'")
    given: Any = field.arguments.get("input")
    node_id = str(given.get("issueId")) if isinstance(given, Mapping) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    found = _find(sandbox, asked.caller, node_id)
    if not isinstance(found, Issue):
        errors.add("NOT_FOUND", path, f"Could not resolve to a node with the global id of '{node_id}'")
        return None
    permissions = asked.caller.permissions if asked.caller else None
    if permissions is not None and permissions.get("issues") not in ("write", "admin"):
        errors.add("FORBIDDEN", path, "Resource not accessible by integration")
        return None
    try:
        sandbox.issues.pin(found, pinned=field.name == "pinIssue")
    except ApiError as refusal:
        errors.add("UNPROCESSABLE", path, refusal.message)
        return None
    out: dict[str, Any] = {}
    for inner in field.selections:
        out[inner.alias] = (
            _shown(_issue(sandbox, asked, found), inner, "Issue")
            if inner.name == "issue"
            else given.get("clientMutationId")  # pyright: ignore[reportUnknownMemberType]
        )
    return out


def _issue(sandbox: SandboxGitHub, asked: Asked, issue: Issue) -> dict[str, Any]:
    shown = issue_json(issue, sandbox.world, asked.base_url)
    return {
        "__typename": "Issue",
        "id": issue.node_id,
        "databaseId": issue.id,
        "number": issue.number,
        "title": issue.title,
        "state": issue.state.upper(),
        "isPinned": issue.pinned,
        "url": shown["html_url"],
    }


def _rate_limit(sandbox: SandboxGitHub, asked: Asked, field: Selection) -> dict[str, Any]:
    assert asked.caller is not None
    window = sandbox.limits.window(asked.caller, "graphql")
    shown: dict[str, Any] = {**sandbox.limits.show(asked.caller, "graphql"), "cost": 1}
    return _shown({**shown, "resetAt": stamp(window.ends)}, field, "RateLimit")


def _shown(values: Mapping[str, Any], field: Selection, kind: str) -> dict[str, Any]:
    """The fields that were asked for, also those in fragments on this type."""
    out: dict[str, Any] = {}
    for one in field.selections:
        if one.on is not None:
            if one.on in (kind, "Node"):
                out |= _shown(values, one, kind)
        elif one.name in values:
            out[one.alias] = values[one.name]
        else:
            raise ApiError(200, f"Field '{one.name}' doesn't exist on type '{kind}'")
    return out
