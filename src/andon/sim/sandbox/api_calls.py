"""What every call of GitHub's API goes through: who it is, limits, faults, rights, headers, ETags."""

import hashlib
import math
from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from andon.sim.sandbox.access import check_access
from andon.sim.sandbox.callers import Caller, CallerKind
from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply, Who, bearer, error_reply, json_body
from andon.sim.sandbox.fault_kinds import FaultKind
from andon.sim.sandbox.faults import Active
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.tap import FAULTS_PLAYED

_VERSIONS = frozenset({"2022-11-28", "2026-03-10"})
_NUMBERS = (
    "runner_id", "run_id", "job_id", "hook_id", "delivery_id", "attempt_number", "installation_id", "issue_number",
    "comment_id", "pull_number", "check_run_id", "runner_group_id",
)  # fmt: skip
_UNKNOWN_CALLER = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "60", "X-RateLimit-Used": "0"}
"""Calls without a known token have a budget by address; it is shown and not kept."""


class GitHubCaller:
    """Turns endpoints into routes."""

    def __init__(self, sandbox: SandboxGitHub) -> None:
        self._sandbox = sandbox

    def route(self, endpoint: Endpoint) -> Route:
        """A route that answers as GitHub does."""

        async def serve(request: Request) -> Response:
            caller = None
            try:
                caller = self._identified(endpoint, request)
                reply = await self._admitted(endpoint, request, caller)
            except ApiError as refusal:
                reply = error_reply(refusal)
            self._sandbox.world.calls[f"{endpoint.name} {reply.status}"] += 1
            return self._finished(endpoint, request, caller, reply)

        path = endpoint.template.replace("{ref}", "{ref:path}")
        for name in _NUMBERS:
            path = path.replace(f"{{{name}}}", f"{{{name}:int}}")
        return Route(path, serve, methods=[endpoint.method])

    def _identified(self, endpoint: Endpoint, request: Request) -> Caller | None:
        """Who calls; None where that does not matter. Raises ApiError 400 or 401."""
        caller = None
        if endpoint.who is not Who.OPEN:
            caller = self._sandbox.callers.identify(bearer(request))
            if endpoint.who is Who.APP and caller.kind is not CallerKind.APP:
                raise ApiError(401, "A JSON web token could not be decoded")
        version = request.headers.get("x-github-api-version", "2022-11-28")
        if version not in _VERSIONS:
            raise ApiError(
                400, f"Version {version!r} is not a valid API version. Send one of {', '.join(sorted(_VERSIONS))}."
            )
        return caller

    async def _admitted(self, endpoint: Endpoint, request: Request, caller: Caller | None) -> Reply:
        limits = self._sandbox.limits
        if caller is None:
            return await self._carry_out(endpoint, request, caller)
        if endpoint.resource:
            resource = limits.resource_of(caller, endpoint.resource)
            limits.check(caller, resource, endpoint.name, creates_content=endpoint.creates_content)
        limits.begin(caller)
        try:
            return await self._carry_out(endpoint, request, caller)
        finally:
            limits.end(caller)

    async def _carry_out(self, endpoint: Endpoint, request: Request, caller: Caller | None) -> Reply:
        sandbox = self._sandbox
        asked = Asked(
            path=dict(request.path_params),
            query=dict(request.query_params),
            body=await json_body(request),
            base_url=str(request.base_url).rstrip("/"),
            url=str(request.url).partition("?")[0],
            caller=caller,
            token=bearer(request),
        )
        befalls = {
            fault.kind: fault
            for fault in sandbox.faults.for_call(
                method=endpoint.method,
                template=endpoint.template,
                path=request.url.path,
                repository=asked.repository_name,
            )
        }
        request.scope[FAULTS_PLAYED] = [kind.value for kind in befalls]
        if slow := befalls.get(FaultKind.API_SLOW):
            await sandbox.clock.sleep(slow.seconds or 0.0)
        if (refused := self._refused(endpoint, asked, befalls)) is not None:
            return refused
        sandbox.tick()
        if caller is not None and endpoint.who is Who.TOKEN:
            check_access(
                sandbox.world,
                caller,
                permission=endpoint.permission,
                scope=endpoint.scope,
                owner=asked.owner,
                repository=asked.repository_name,
            )
        reply = endpoint.answer(asked)
        if lost := befalls.get(FaultKind.API_REPLY_LOST) or befalls.get(FaultKind.MINT_REPLY_LOST):
            await sandbox.clock.sleep(lost.seconds or 0.0)
            return _fault_reply(lost, 504)
        if FaultKind.API_MALFORMED in befalls:
            return msgspec.structs.replace(reply, cut=True)
        return reply

    def _refused(self, endpoint: Endpoint, asked: Asked, befalls: Mapping[FaultKind, Active]) -> Reply | None:
        """The answer of a fault that keeps the call from being carried out."""
        limits, caller = self._sandbox.limits, asked.caller
        if caller is not None:
            if FaultKind.API_TOKEN_EXPIRED in befalls:
                self._sandbox.callers.end(asked.token)
                raise ApiError(401, "Bad credentials")
            if limited := befalls.get(FaultKind.API_RATE_LIMITED):
                limits.refuse(caller, limited.status or 429, "API rate limit exceeded.", limited.seconds or 0.0)
            if limited := befalls.get(FaultKind.API_SECONDARY_LIMIT):
                limits.refuse_secondary(caller, limited.status or 403, limited.seconds or 0.0)
        if (error := befalls.get(FaultKind.API_ERROR)) is None:
            return None
        reply = _fault_reply(error, 502)
        if error.seconds is None:
            return reply
        if caller is not None:
            limits.asked_to_wait(caller, endpoint.name, reply.status, error.seconds)
        return msgspec.structs.replace(reply, headers={"Retry-After": str(int(error.seconds))})

    def _finished(self, endpoint: Endpoint, request: Request, caller: Caller | None, reply: Reply) -> Response:
        sandbox = self._sandbox
        body = b"" if reply.body is None else msgspec.json.encode(reply.body)
        headers = dict(reply.headers)
        status = reply.status
        if status == 200 and request.method == "GET":
            # Bound to the token: with another one it does not match (contract section 5).
            seen = hashlib.sha256(body + (caller.digest.encode() if caller else b"")).hexdigest()
            headers["ETag"] = f'"{seen}"'
            if request.headers.get("if-none-match", "").removeprefix("W/") == headers["ETag"]:
                sandbox.world.unchanged[f"{endpoint.name} {status}"] += 1
                status, body = 304, b""
        if reply.cut and status != 304:
            body = body[: max(1, len(body) // 2)] or b"{"
        headers |= {
            "X-GitHub-Request-Id": f"{sandbox.world.chance.getrandbits(64):016X}",
            "X-GitHub-Media-Type": "github.v3; format=json",
            "Vary": "Accept, Authorization, Cookie, X-GitHub-OTP",
            **self._budget_headers(endpoint, caller, status),
        }
        if caller is not None:
            headers |= _rights_headers(endpoint, caller)
        media = "application/json; charset=utf-8" if body else None
        return Response(body, status_code=status, headers=headers, media_type=media)

    def _budget_headers(self, endpoint: Endpoint, caller: Caller | None, status: int) -> dict[str, str]:
        limits = self._sandbox.limits
        if caller is None:
            reset = math.ceil(self._sandbox.world.after(3600).timestamp())
            return {**_UNKNOWN_CALLER, "X-RateLimit-Reset": str(reset), "X-RateLimit-Resource": "core"}
        resource = limits.resource_of(caller, endpoint.resource or "core")
        window = limits.window(caller, resource)
        # An authorised 304 does not count (contract section 5), nor what a limit refused.
        if endpoint.resource and status != 304 and window.used < limits.limits_of(caller).of(resource):
            window.used += 1
        return limits.headers(caller, resource)


def _rights_headers(endpoint: Endpoint, caller: Caller) -> dict[str, str]:
    headers: dict[str, str] = {}
    if endpoint.permission:
        headers["X-Accepted-GitHub-Permissions"] = endpoint.permission.replace(":", "=")
    if caller.scopes is not None:
        headers["X-OAuth-Scopes"] = ", ".join(caller.scopes)
        headers["X-Accepted-OAuth-Scopes"] = endpoint.scope
    if caller.expires is not None:
        headers["GitHub-Authentication-Token-Expiration"] = caller.expires
    return headers


def _fault_reply(fault: Active, status: int) -> Reply:
    return error_reply(ApiError(fault.status or status, "The sandbox was told to fail this call."))
