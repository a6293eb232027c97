"""Refuses addresses with a NUL character in them: no name has one, and PostgreSQL takes none."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from andon.web.answers import Refusal, on_refusal


class NoNul:
    """In front of all routes, so that no handler and no query has to think of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and ("\0" in scope["path"] or b"%00" in scope["query_string"]):
            refusal = Refusal(422, "The address holds a NUL character.", "Take it out.")
            await (await on_refusal(Request(scope), refusal))(scope, receive, send)
            return
        await self._app(scope, receive, send)
