"""`/healthz` (the process answers), `/readyz` (it can do its work) and `/metrics`."""

from starlette.requests import Request
from starlette.responses import Response

from andon import __version__
from andon.store.database import Unavailable
from andon.web.answers import answer
from andon.web.auth import require_reader
from andon.web.control_plane import control_plane
from andon.web.degradation import PATIENCE_S
from andon.web.metrics import Facts


async def healthz(request: Request) -> Response:
    """200 while the process answers at all."""
    return answer({"status": "ok", "version": __version__})


async def readyz(request: Request) -> Response:
    """200 when work is done; 503 with the missing piece otherwise."""
    control = control_plane(request)
    missing = control.ready()
    if missing is not None:
        return answer({"status": "not ready", "missing": missing}, 503)
    return answer({"status": "ready", "started_at": control.started_at, "rails": control.config.rails.mode})


async def metrics(request: Request) -> Response:
    """The metrics in the exposition format."""
    require_reader(request)
    control = control_plane(request)
    now = control.clock.now()
    try:
        facts = await control.degradation.read_in_time(
            lambda connection: Facts(connection, control.config, now), PATIENCE_S
        )
    except Unavailable:
        facts = None
    degraded = {each.code for each in await control.degradation.look()}
    text = control.metrics.render(facts, now, degraded)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
