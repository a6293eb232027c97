"""The routes of the control plane, in one table."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route

from andon.store.database import Unavailable
from andon.web import health, ingest, openapi
from andon.web.agent_api import AgentApi
from andon.web.answers import Refusal, on_exception, on_http_exception, on_refusal, on_unavailable
from andon.web.control_plane import ControlPlane
from andon.web.enrolment import enrol
from andon.web.host_changes import HOST_CHANGES
from andon.web.job_changes import JOB_CHANGES
from andon.web.no_nul import NoNul
from andon.web.read_api import ENDPOINTS
from andon.web.switches import SWITCH_CHANGES


def make_app(control: ControlPlane, pages: Sequence[BaseRoute] = ()) -> Starlette:
    """The application; `pages` are the routes for people."""
    agents = AgentApi()
    routes: list[BaseRoute] = [
        Route("/webhooks/github", ingest.receive, methods=["POST"]),
        Route("/agent/v1/enrol", enrol, methods=["POST"]),
        Route("/agent/v1/sync", agents.sync, methods=["POST"]),
        *(Route(endpoint.path, endpoint.handler, methods=["GET"]) for endpoint in ENDPOINTS),
        *(
            Route(change.path, change.handler, methods=["POST"])
            for change in (*HOST_CHANGES, *JOB_CHANGES, *SWITCH_CHANGES)
        ),
        Route("/openapi.json", openapi.openapi, methods=["GET"]),
        Route("/metrics", health.metrics, methods=["GET"]),
        Route("/healthz", health.healthz, methods=["GET"]),
        Route("/readyz", health.readyz, methods=["GET"]),
        *pages,
    ]
    handlers = {
        Refusal: on_refusal,
        Unavailable: on_unavailable,
        HTTPException: on_http_exception,
        Exception: on_exception,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.control_plane = control
    app.add_middleware(NoNul)
    return app
