"""`/openapi.json`, made from the table of endpoints and the structs that they give."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from andon import __version__
from andon.model.api import ErrorBody
from andon.model.wire import EnrolAnswer, EnrolRequest, SyncAnswer, SyncRequest
from andon.web.answers import answer
from andon.web.ingest import Stored
from andon.web.read_api import ENDPOINTS, MAX_LIMIT, Endpoint


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def describe() -> dict[str, Any]:
    """The OpenAPI 3.1 description of everything that programs may call."""
    shapes = [endpoint.gives for endpoint in ENDPOINTS]
    others = [ErrorBody, Stored, EnrolRequest, EnrolAnswer, SyncRequest, SyncAnswer]
    schemas, components = msgspec.json.schema_components([*shapes, *others], ref_template="#/components/schemas/{name}")
    error, stored, enrol_request, enrol_answer, sync_request, sync_answer = schemas[len(shapes) :]

    def refusals(*statuses: int) -> dict[str, Any]:
        return {str(status): {"description": "Refused.", "content": _json(error)} for status in statuses}

    def read(endpoint: Endpoint, schema: dict[str, Any]) -> dict[str, Any]:
        names = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
        parameters: list[dict[str, Any]] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
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
    paths["/webhooks/github"] = change("A webhook delivery, signed.", {"type": "object"}, "202", stored, 400, 401, 413)
    paths["/agent/v1/enrol"] = change(
        "An agent's enrolment.", enrol_request, "201", enrol_answer, 400, 401, 409, 413, 422
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
    paths["/agent/v1/sync"]["post"]["responses"]["204"] = {"description": "A newer sync took its place."}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Andon", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


async def openapi(request: Request) -> Response:
    """The description as JSON."""
    return answer(describe())
