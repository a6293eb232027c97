"""The stand-in runner's protocol over HTTP, `/_runner/*` (docs/sandbox.md tells it in short).

Every call carries the runner's own token. A poll for messages is held open until there is
something to tell, the caller leaves, or the wait is over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from andon.runtime.loop import wait_for_nudge
from andon.sim.sandbox.control import converted
from andon.sim.sandbox.endpoint import bearer, error_reply, json_body
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Runner, Session
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.repository_json import fine_stamp

_LONGEST_POLL_S = 60.0


class _Connect(msgspec.Struct, frozen=True, kw_only=True):
    version: str | None = None
    os: str | None = None


class _Acquire(msgspec.Struct, frozen=True, kw_only=True):
    job_id: int


class _Steps(msgspec.Struct, frozen=True, kw_only=True):
    steps: list[dict[str, Any]]


class _Complete(msgspec.Struct, frozen=True, kw_only=True):
    conclusion: str
    steps: list[dict[str, Any]] | None = None


class RunnerRoutes:
    """The calls of listeners."""

    def __init__(self, sandbox: SandboxGitHub) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        """All routes of the protocol."""
        table: list[tuple[str, str, Callable[[Runner, Request], Awaitable[Response]]]] = [
            ("POST", "/_runner/sessions", self._connect),
            ("DELETE", "/_runner/sessions/{session}", self._leave),
            ("GET", "/_runner/sessions/{session}/message", self._message),
            ("POST", "/_runner/sessions/{session}/acquire", self._acquire),
            ("POST", "/_runner/jobs/{job:int}/renew", self._renew),
            ("PATCH", "/_runner/jobs/{job:int}/steps", self._steps),
            ("PUT", "/_runner/jobs/{job:int}/log", self._log),
            ("POST", "/_runner/jobs/{job:int}/complete", self._complete),
        ]
        return [Route(path, self._guarded(serve), methods=[method]) for method, path, serve in table]

    def _guarded(
        self, serve: Callable[[Runner, Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                self._sandbox.tick()
                runner = self._sandbox.runners.authenticate(bearer(request))
                return await serve(runner, request)
            except ApiError as refusal:
                return _json(refusal.status, error_reply(refusal).body)

        return guarded

    async def _connect(self, runner: Runner, request: Request) -> Response:
        said = converted(await json_body(request), _Connect, request.url.path)
        session = self._sandbox.runners.open_session(runner, version=said.version, os=said.os)
        return _json(201, {"session": session.id})

    async def _leave(self, runner: Runner, request: Request) -> Response:
        self._sandbox.runners.close_session(runner, request.path_params["session"])
        return Response(status_code=204)

    async def _message(self, runner: Runner, request: Request) -> Response:
        session = self._sandbox.runners.get_session(runner, request.path_params["session"])
        try:
            wait_s = min(_LONGEST_POLL_S, max(0.0, float(request.query_params.get("wait_s", "50"))))
        except ValueError:
            raise ApiError(422, '"wait_s" is no number. Give seconds.') from None
        leaving = asyncio.ensure_future(_until_gone(request, session))
        try:
            message = await self._held(session, wait_s, leaving)
        finally:
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        return Response(status_code=204) if message is None else _json(200, message)

    async def _held(self, session: Session, wait_s: float, leaving: "asyncio.Future[None]") -> dict[str, Any] | None:
        sandbox = self._sandbox
        turn = sandbox.runners.begin_poll(session)
        try:
            until = sandbox.clock.monotonic() + wait_s
            while session.poll_turn == turn and not sandbox.world.closing and not leaving.done():
                seen = session.nudge.version
                if (message := sandbox.execution.next_message(session)) is not None:
                    return message
                left = until - sandbox.clock.monotonic()
                if left <= 0:
                    break
                await wait_for_nudge(session.nudge, seen, sandbox.clock, left)
            return None
        finally:
            sandbox.runners.end_poll(session)

    async def _acquire(self, runner: Runner, request: Request) -> Response:
        wanted = converted(await json_body(request), _Acquire, request.url.path)
        self._sandbox.execution.acquire(runner, request.path_params["session"], wanted.job_id)
        return _json(200, {})

    async def _renew(self, runner: Runner, request: Request) -> Response:
        job = self._sandbox.execution.renew(runner, request.path_params["job"])
        return _json(200, {"locked_until": fine_stamp(job.locked_until)})

    async def _steps(self, runner: Runner, request: Request) -> Response:
        told = converted(await json_body(request), _Steps, request.url.path)
        self._sandbox.execution.report_steps(runner, request.path_params["job"], told.steps)
        return Response(status_code=204)

    async def _log(self, runner: Runner, request: Request) -> Response:
        self._sandbox.execution.put_log(runner, request.path_params["job"], await request.body())
        return Response(status_code=204)

    async def _complete(self, runner: Runner, request: Request) -> Response:
        told = converted(await json_body(request), _Complete, request.url.path)
        self._sandbox.execution.complete(runner, request.path_params["job"], told.conclusion, told.steps)
        return Response(status_code=204)


async def _until_gone(request: Request, session: Session) -> None:
    """Ends when the caller has hung up, and wakes its poll."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    session.nudge()


def _json(status: int, body: Any) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
