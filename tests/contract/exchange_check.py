"""Holds one call and its answer against what GitHub publishes; says every mismatch in a sentence.

What our own GitHub room sends is known by its user agent and must fit as well; what tests send on
purpose to be refused need not.
"""

import json
from typing import Any
from urllib.parse import parse_qsl, unquote

from andon.sim.sandbox.tap import Exchange
from tests.contract.published import Contract, Operation, contract
from tests.contract.unpublished import EXTRA_FIELDS, allowance

API_VERSIONS = ("2022-11-28", "2026-03-10")
NOT_DESCRIBED = {
    "POST /graphql": "GraphQL has a schema of its own",
    "GET /repos/{owner}/{repo}/actions/runners/deprecations/{version}": "changelog 2026-09-03; not in 23.0.2",
    "GET /orgs/{org}/actions/runners/deprecations/{version}": "changelog 2026-09-03; not in 23.0.2",
}
"""Calls that exist and are in no OpenAPI description, with the reason; nothing of them is checked here."""
PAGES = ("/settings/apps/new", "/organizations/{org}/settings/apps/new", "/apps/{slug}/installations/new")
"""Pages for people, no calls."""
OUTSIDE = frozenset({"api_error", "api_malformed", "api_reply_lost", "mint_reply_lost"})
"""Faults of the sandbox that play what no contract promises: any status, an answer cut short."""
_AS_APP = ("/app", "/orgs/{org}/installation", "/repos/{owner}/{repo}/installation", "/users/{username}/installation")


def is_described(method: str, path: str) -> bool:
    """False for the calls of NOT_DESCRIBED and for pages."""
    for name in (*NOT_DESCRIBED, *(f"{method} {page}" for page in PAGES)):
        operation = Operation(name, {"parameters": [], "responses": {}})
        if operation.method == method and operation.pattern.fullmatch(path):
            return False
    return True


def check(exchange: Exchange) -> list[str]:
    """Every mismatch of the answer, and of the request when our GitHub room sent it."""
    if not is_described(exchange.method, exchange.path):
        return []
    published = contract()
    ours = exchange.request_headers.get("user-agent", "").startswith("andon/")
    operation = published.find(exchange.method, exchange.path)
    if operation is None:
        if not ours and exchange.status in (401, 404, 405):
            return []
        return [f"{exchange.method} {exchange.path}: GitHub describes no such call (or the slice lacks it)"]
    found = [f"answer {exchange.status}: {what}" for what in _answer(published, operation, exchange)]
    if ours:
        found += [f"request: {what}" for what in _request(published, operation, exchange)]
    return [f"{operation.name}: {what}" for what in found]


def _json(text: str) -> Any:
    return json.loads(text) if text else None


def _typed(text: str, schema: dict[str, Any]) -> Any:
    """A text of the address as the type that its schema wants; as a text where it is none."""
    kind = schema.get("type")
    if kind == "integer" and text.lstrip("-").isdigit():
        return int(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind == "array":
        return text.split(",")
    return text


def _request(published: Contract, operation: Operation, exchange: Exchange) -> list[str]:
    found = _headers(operation, exchange)
    matched = operation.pattern.fullmatch(exchange.path)
    assert matched is not None
    asked = {"path": {name: unquote(text) for name, text in matched.groupdict().items()}}
    pairs = parse_qsl(exchange.query, keep_blank_values=True)
    asked["query"] = dict(pairs)
    if len(asked["query"]) != len(pairs):
        found.append(f"query ?{exchange.query}: a parameter stands twice")
    known = {(each["in"], each["name"]): each for each in operation.parameters}
    for place, given in asked.items():
        for name, text in given.items():
            if (place, name) not in known:
                found.append(f"{place} parameter {name}: GitHub knows no such parameter")
                continue
            schema = known[place, name]["schema"]
            found += [f"{place} parameter {name} {what}" for what in published.mismatches(_typed(text, schema), schema)]
    found += [
        f"{place} parameter {name}: is required"
        for (place, name), each in known.items()
        if each["required"] and place in asked and name not in asked[place]
    ]
    return found + _request_body(published, operation, exchange)


def _request_body(published: Contract, operation: Operation, exchange: Exchange) -> list[str]:
    wanted = operation.request
    if not exchange.request_body:
        return ["body: is required"] if wanted and wanted["required"] else []
    if wanted is None:
        return ["body: GitHub takes none here"]
    if not exchange.request_headers.get("content-type", "").startswith("application/json"):
        return ["body: the content type is not application/json"]
    try:
        body = _json(exchange.request_body)
    except ValueError:
        return ["body: is not JSON"]
    return [f"body {what}" for what in published.mismatches(body, wanted["schema"])]


def _headers(operation: Operation, exchange: Exchange) -> list[str]:
    headers = exchange.request_headers
    found: list[str] = []
    if headers.get("accept") not in ("application/vnd.github+json", "application/json"):
        found.append(f"header accept: {headers.get('accept')!r}")
    version = headers.get("x-github-api-version")
    if version not in API_VERSIONS:
        found.append(f"header x-github-api-version: {version!r} is not one of {API_VERSIONS}")
    if operation.template.startswith("/app-manifests/"):
        return found
    as_app = operation.template in _AS_APP or operation.template.startswith("/app/")
    kind = headers.get("authorization", "none")
    if as_app and kind != "bearer jwt":
        found.append(f"header authorization: this call takes the App's own JWT, not {kind!r}")
    if not as_app and kind not in ("bearer", "token"):
        found.append(f"header authorization: this call takes a token, not {kind!r}")
    return found


def _answer(published: Contract, operation: Operation, exchange: Exchange) -> list[str]:
    status = str(exchange.status)
    if OUTSIDE.intersection(exchange.faults):
        return []
    if status in operation.responses:
        schema = operation.responses[status]
    elif allowance(operation.name, exchange) is not None:
        schema = None if status == "304" else published.schema("basic-error")
    else:
        return [f"GitHub publishes {', '.join(operation.responses)} only, and no exception fits"]
    found: list[str] = []
    if 300 <= exchange.status < 400 and exchange.status != 304 and "location" not in exchange.reply_headers:
        found.append("a redirect without a Location")
    if schema is None or (not exchange.reply_body and exchange.status >= 300):
        return [*found, "a body, where none is published"] if exchange.reply_body and status[0] != "3" else found
    try:
        body = _json(exchange.reply_body)
    except ValueError:
        return [*found, "the body is not JSON"]
    if exchange.status == 422 and "validation error $.status" in EXTRA_FIELDS and isinstance(body, dict):
        body = {name: value for name, value in body.items() if name != "status"}
    return found + published.mismatches(body, schema)
