"""`/openapi.json`, made from the table of endpoints and the structs that they give."""

from typing import Any, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from andon import __version__
from andon.model.api import ErrorBody
from andon.model.wire import SEQ_HEADER, EnrolAnswer, EnrolRequest, SyncAnswer, SyncRequest
from andon.web.answers import answer
from andon.web.auth import require_reader
from andon.web.host_changes import HOST_CHANGES
from andon.web.ingest import Stored
from andon.web.job_changes import JOB_CHANGES
from andon.web.read_api import ENDPOINTS, MAX_LIMIT, Endpoint
from andon.web.switches import SWITCH_CHANGES

_CHANGES = (*HOST_CHANGES, *JOB_CHANGES, *SWITCH_CHANGES)


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _plain(schema: Any) -> Any:
    """Pairs of one type as lists of two: the same, in words that more programs understand than `prefixItems`."""
    if isinstance(schema, list):
        return [_plain(each) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    out = {name: _plain(each) for name, each in cast("dict[str, Any]", schema).items()}
    kinds = out.get("prefixItems")
    if kinds and out.get("items") is False and all(kind == kinds[0] for kind in kinds):
        out["items"] = out.pop("prefixItems")[0]
    return out


def describe() -> dict[str, Any]:
    """The OpenAPI 3.1 description of everything that programs may call."""
    shapes: list[Any] = [endpoint.gives for endpoint in ENDPOINTS]
    shapes += [shape for one in _CHANGES for shape in (one.takes, one.gives)]
    others = [ErrorBody, Stored, EnrolRequest, EnrolAnswer, SyncRequest, SyncAnswer]
    schemas, components = msgspec.json.schema_components([*shapes, *others], ref_template="#/components/schemas/{name}")
    error, stored, enrol_request, enrol_answer, sync_request, sync_answer = schemas[len(shapes) :]

    def refusals(*statuses: int) -> dict[str, Any]:
        return {str(status): {"description": "Refused.", "content": _json(error)} for status in statuses}

    def read(endpoint: Endpoint, schema: dict[str, Any]) -> dict[str, Any]:
        parameters = names(endpoint.path)
        for name in endpoint.query:
            kind: dict[str, Any] = {"type": "string"}
            if name == "limit":
                kind = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}
            elif name == "since":
                kind = {"type": "string", "format": "date-time"}
            parameters.append({"name": name, "in": "query", "required": False, "schema": kind})
        return {
            "get": {
                "summary": (endpoint.handler.__doc__ or "").strip(),
                "parameters": parameters,
                "responses": {
                    "200": {"description": "The answer.", "content": _json(schema)},
                    **refusals(401, 403, 404, 422),
                },
            }
        }

    def names(path: str) -> list[dict[str, Any]]:
        found = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in found]

    def change(summary: str, body: dict[str, Any], status: str, gives: dict[str, Any], *refused: int) -> dict[str, Any]:
        return {
            "post": {
                "summary": summary,
                "requestBody": {"required": True, "content": _json(body)},
                "responses": {status: {"description": "The answer.", "content": _json(gives)}, **refusals(*refused)},
            }
        }

    paths: dict[str, Any] = {
        endpoint.path: read(endpoint, schema) for endpoint, schema in zip(ENDPOINTS, schemas, strict=False)
    }
    paths["/webhooks/github"] = change(
        "A webhook delivery, signed.", {"type": "object"}, "202", stored, 400, 401, 413, 503
    )
    for number, one in enumerate(_CHANGES):
        takes, gives = schemas[len(ENDPOINTS) + 2 * number :][:2]
        summary = (one.handler.__doc__ or "").strip()
        made = change(summary, takes, "202", gives, 400, 401, 403, 404, 409, 413, 422)
        made["post"] |= {"parameters": names(one.path), "security": [{"bearer": []}]}
        paths.setdefault(one.path, {}).update(made)
    paths["/agent/v1/enrol"] = change(
        "An agent's enrolment.", enrol_request, "201", enrol_answer, 400, 401, 403, 409, 413, 422
    )
    paths["/agent/v1/sync"] = change(
        "An agent's report; answered with what is wanted of its host.",
        sync_request,
        "200",
        sync_answer,
        400,
        401,
        403,
        413,
        422,
        426,
    )
    paths["/agent/v1/sync"]["post"]["responses"]["204"] = {
        "description": "A newer sync took its place; the header says the newest seq, and the agent goes on above it.",
        "headers": {SEQ_HEADER: {"schema": {"type": "integer"}}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Andon", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": _plain(components),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


async def openapi(request: Request) -> Response:
    """The description as JSON."""
    require_reader(request)
    return answer(describe())
