"""The sandbox GitHub over HTTP: GitHub's API, the runner protocol, and the control endpoints.

Works under a real server and in process; time and deliveries are moved by `pump.Pump`, not here.
"""

from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from andon.sim.sandbox import control
from andon.sim.sandbox.api_calls import GitHubCaller
from andon.sim.sandbox.app_pages import app_page_routes
from andon.sim.sandbox.endpoint import error_reply, json_body
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.log_links import LogLinks
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.rest_apps import app_endpoints
from andon.sim.sandbox.rest_checks import check_endpoints
from andon.sim.sandbox.rest_graphql import graphql_endpoints
from andon.sim.sandbox.rest_hooks import hook_endpoints
from andon.sim.sandbox.rest_issues import issue_endpoints
from andon.sim.sandbox.rest_places import place_endpoints
from andon.sim.sandbox.rest_pulls import pull_endpoints
from andon.sim.sandbox.rest_runner_groups import group_endpoints
from andon.sim.sandbox.rest_runner_labels import label_endpoints
from andon.sim.sandbox.rest_runners import runner_endpoints
from andon.sim.sandbox.rest_runs import run_endpoints
from andon.sim.sandbox.runner_routes import RunnerRoutes
from andon.sim.sandbox.tap import Tap, Tapped


def make_app(sandbox: SandboxGitHub, tap: Tap | None = None) -> Starlette:
    """An ASGI application over `sandbox`; `tap` is told of every call of GitHub's API."""
    links = LogLinks(sandbox.world)
    caller = GitHubCaller(sandbox)
    endpoints = [
        *runner_endpoints(sandbox),
        *label_endpoints(sandbox),
        *group_endpoints(sandbox),
        *run_endpoints(sandbox, links),
        *hook_endpoints(sandbox),
        *app_endpoints(sandbox),
        *place_endpoints(sandbox),
        *issue_endpoints(sandbox),
        *pull_endpoints(sandbox),
        *check_endpoints(sandbox),
        *graphql_endpoints(sandbox),
    ]
    routes = [
        *RunnerRoutes(sandbox).routes(),
        *_control_routes(sandbox),
        links.route(),
        *app_page_routes(sandbox),
        *[caller.route(endpoint) for endpoint in endpoints],
    ]
    listening = [] if tap is None else [Middleware(Tapped, tap=tap)]
    return Starlette(routes=routes, middleware=listening, exception_handlers={HTTPException: _nothing_here})


def _control_routes(sandbox: SandboxGitHub) -> list[Route]:
    async def post(request: Request) -> Response:
        try:
            return _json(*control.post(sandbox, request.url.path, await json_body(request)))
        except ApiError as refusal:
            return _json(refusal.status, error_reply(refusal).body)

    async def truth(request: Request) -> Response:
        return _json(200, sandbox.truth())

    async def faults(request: Request) -> Response:
        if request.method == "DELETE":
            return _json(200, {"cleared": sandbox.faults.clear()})
        return _json(200, sandbox.faults.show())

    return [
        Route("/_sandbox/truth", truth, methods=["GET"]),
        Route("/_sandbox/faults", faults, methods=["GET", "DELETE"]),
        Route("/_sandbox/{call:path}", post, methods=["POST"]),
    ]


async def _nothing_here(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = {404: "Not Found", 405: "Method Not Allowed"}.get(status, "The call cannot be answered.")
    return _json(status, error_reply(ApiError(status, message)).body)


def _json(status: int, body: Any) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
