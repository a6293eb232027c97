"""Makes `github_openapi_facts.json`: facts of GitHub's REST description, for the calls that a fleet needs.

From npm's `@octokit/openapi` (13 MB): paths, methods, parameters, bodies and status codes, with their
schemas reduced to what can be checked. No prose, no examples. `python -m tests.contract.slice_github_openapi`
writes the file again; a test makes it anew and compares byte by byte where npm's registry answers.
"""

import json
from pathlib import Path
from typing import Any

from tests.contract.npm_packages import fetch, locked

PACKAGE = "@octokit/openapi"
FACTS = Path(__file__).parent / "github_openapi_facts.json"

_KEPT = frozenset({"type", "required", "enum", "nullable", "format", "$ref", "pattern", "minimum", "maximum",
                   "minItems", "maxItems", "minLength", "maxLength"})  # fmt: skip
_REPO, _ORG = "/repos/{owner}/{repo}", "/orgs/{org}"
_HOOKS = """
    get,post hooks
    get,patch,delete hooks/{hook_id}
    get,patch hooks/{hook_id}/config
    get hooks/{hook_id}/deliveries
    get hooks/{hook_id}/deliveries/{delivery_id}
    post hooks/{hook_id}/deliveries/{delivery_id}/attempts
    post hooks/{hook_id}/pings
"""
_RUNNERS = """
    get actions/runners
    get actions/runners/downloads
    post actions/runners/generate-jitconfig
    post actions/runners/registration-token
    post actions/runners/remove-token
    get,delete actions/runners/{runner_id}
    get,post,put,delete actions/runners/{runner_id}/labels
    delete actions/runners/{runner_id}/labels/{name}
    get installation
    get rulesets/rule-suites
"""
_REPO_ONLY = """
    get actions/jobs/{job_id}
    get actions/jobs/{job_id}/logs
    post actions/jobs/{job_id}/rerun
    get actions/runs
    get actions/runs/{run_id}
    get actions/runs/{run_id}/attempts/{attempt_number}
    get actions/runs/{run_id}/attempts/{attempt_number}/jobs
    get actions/runs/{run_id}/attempts/{attempt_number}/logs
    post actions/runs/{run_id}/cancel
    post actions/runs/{run_id}/force-cancel
    get actions/runs/{run_id}/jobs
    get actions/runs/{run_id}/logs
    post actions/runs/{run_id}/rerun
    post actions/runs/{run_id}/rerun-failed-jobs
    get branches/{branch}
    post check-runs
    get,patch check-runs/{check_run_id}
    get check-runs/{check_run_id}/annotations
    get commits/{commit_sha}/pulls
    get commits/{ref}/check-runs
    get,post issues
    get issues/comments
    get,patch,delete issues/comments/{comment_id}
    get,patch issues/{issue_number}
    get,post issues/{issue_number}/comments
    get,post,put,delete issues/{issue_number}/labels
    get pulls
    get pulls/{pull_number}
"""
_ORG_ONLY = """
    get,post actions/runner-groups
    get,patch,delete actions/runner-groups/{runner_group_id}
    get actions/runner-groups/{runner_group_id}/repositories
    get,put actions/runner-groups/{runner_group_id}/runners
    put,delete actions/runner-groups/{runner_group_id}/runners/{runner_id}
    get repos
"""
_APP = """
    get /app
    post /app-manifests/{code}/conversions
    get,patch /app/hook/config
    get /app/hook/deliveries
    get /app/hook/deliveries/{delivery_id}
    post /app/hook/deliveries/{delivery_id}/attempts
    get /app/installations
    get,delete /app/installations/{installation_id}
    post /app/installations/{installation_id}/access_tokens
    get /apps/{app_slug}
    get /installation/repositories
    delete /installation/token
    get /meta
    get /rate_limit
    get /user
    get /repos/{owner}/{repo}
    get /users/{username}/installation
"""


def operations() -> list[tuple[str, str]]:
    """Path template and method of every call in the slice."""
    lines = [(line, "") for line in _APP.strip().splitlines()]
    for table, places in ((_HOOKS + _RUNNERS, (_REPO, _ORG)), (_REPO_ONLY, (_REPO,)), (_ORG_ONLY, (_ORG,))):
        lines += [(line, f"{place}/") for line in table.splitlines() if line.strip() for place in places]
    out: list[tuple[str, str]] = []
    for line, place in lines:
        methods, path = line.split()
        out += [(place + path, method) for method in methods.split(",")]
    return sorted(out)


class _Slice:
    def __init__(self, description: dict[str, Any]) -> None:
        self._description = description
        self.schemas: dict[str, Any] = {}

    def _resolved(self, thing: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in thing:
            kind, name = thing["$ref"].removeprefix("#/components/").split("/")
            thing = self._description["components"][kind][name]
        return thing

    def schema(self, given: dict[str, Any]) -> dict[str, Any]:
        """The checkable part of a schema; the schemas that it refers to are taken along."""
        out = {key: value for key, value in given.items() if key in _KEPT}
        if "$ref" in out:
            name = out["$ref"].removeprefix("#/components/schemas/")
            out["$ref"] = f"#/schemas/{name}"
            if name not in self.schemas:
                self.schemas[name] = None
                self.schemas[name] = self.schema(self._description["components"]["schemas"][name])
        if "enum" in out:
            out["enum"] = [*dict.fromkeys(out["enum"])]
        for key in ("oneOf", "anyOf", "allOf"):
            if key in given:
                out[key] = [self.schema(each) for each in given[key]]
        if "properties" in given:
            out["properties"] = {name: self.schema(each) for name, each in given["properties"].items()}
        if "items" in given:
            out["items"] = self.schema(given["items"])
        if "additionalProperties" in given:
            more = given["additionalProperties"]
            out["additionalProperties"] = self.schema(more) if isinstance(more, dict) else more
        return out

    def _body(self, thing: dict[str, Any]) -> dict[str, Any] | None:
        """The schema of a JSON body; None where there is none, or one that is no JSON."""
        content = thing.get("content", {})
        found = content.get("application/json") or next(
            (each for name, each in content.items() if name.endswith("json")), None
        )
        return None if found is None else self.schema(found.get("schema", {}))

    def operation(self, path: str, method: str) -> dict[str, Any]:
        found = self._description["paths"][path][method]
        given = [*self._description["paths"][path].get("parameters", []), *found.get("parameters", [])]
        parameters = [self._resolved(each) for each in given]
        out: dict[str, Any] = {
            "parameters": [
                {
                    "in": each["in"],
                    "name": each["name"],
                    "required": each.get("required", False),
                    "schema": self.schema(each.get("schema", {})),
                }
                for each in sorted(parameters, key=lambda each: (each["in"], each["name"]))
            ],
            "responses": {code: self._body(self._resolved(each)) for code, each in found["responses"].items()},
        }
        if "requestBody" in found:
            body = self._resolved(found["requestBody"])
            out["request"] = {"required": body.get("required", False), "schema": self._body(body)}
        return out


def facts(description: dict[str, Any], version: str) -> str:
    """The slice as the text of its file: sorted, one line an operation and a schema."""
    cut = _Slice(description)
    paths: dict[str, dict[str, Any]] = {}
    for path, method in operations():
        if method in description["paths"].get(path, {}):
            paths.setdefault(path, {})[method] = cut.operation(path, method)
    missing = [f"{method.upper()} {path}" for path, method in operations() if method not in paths.get(path, {})]

    def one_line(thing: Any) -> str:
        return json.dumps(thing, sort_keys=True, separators=(",", ":"))

    operation_lines = [
        f"{one_line(f'{method.upper()} {path}')}:{one_line(each)}"
        for path, methods in sorted(paths.items())
        for method, each in sorted(methods.items())
    ]
    schema_lines = [f"{one_line(name)}:{one_line(each)}" for name, each in sorted(cut.schemas.items())]
    head = {"package": PACKAGE, "version": version}
    return (
        f'{{"source":{one_line(head)},\n"not_described":{one_line(missing)},\n'
        '"operations":{\n' + ",\n".join(operation_lines) + '\n},\n"schemas":{\n' + ",\n".join(schema_lines) + "\n}}\n"
    )


def made_anew() -> str:
    """The text of the facts file, from the package. Raises NotFetched."""
    description = json.loads((fetch(PACKAGE) / "api.github.com.json").read_bytes())
    return facts(description, locked()[PACKAGE]["version"])


if __name__ == "__main__":
    FACTS.write_text(made_anew())
    print(f"{FACTS.name}: {FACTS.stat().st_size} bytes, {len(json.loads(FACTS.read_text())['operations'])} operations")
