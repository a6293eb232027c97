"""The short-lived addresses behind a log's 302 (contract section 4: valid for one minute)."""

from datetime import datetime

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from andon.sim.sandbox.records import Job
from andon.sim.sandbox.world import World


class LogLinks:
    """Hands out addresses and answers them while they last; no token is asked for, as at GitHub."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._links: dict[str, tuple[datetime, Job]] = {}
        """In the order of making, so the oldest end first."""

    def make(self, job: Job) -> str:
        """A new address for the log of `job`."""
        now = self._world.now()
        for token, (until, _) in [*self._links.items()]:
            if until > now:
                break
            del self._links[token]
        token = self._world.new_token(128)
        self._links[token] = (self._world.after(self._world.timings.log_url_s), job)
        return f"/_logs/{token}"

    def route(self) -> Route:
        """The route that answers the addresses."""

        async def serve(request: Request) -> Response:
            found = self._links.get(request.path_params["token"])
            if found is None or found[0] <= self._world.now():
                return PlainTextResponse("This address has expired. Ask the jobs API for a new one.\n", status_code=403)
            return PlainTextResponse(found[1].log or b"")

        return Route("/_logs/{token}", serve, methods=["GET"])
