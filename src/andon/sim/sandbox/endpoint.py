"""One endpoint of GitHub's API: what is asked, what is answered, and the rules that all share.

Authentication, version header, counting, API faults, rate headers, ETags and GitHub's error body
live here, so that an endpoint is a function from `Asked` to `Reply`.
"""

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from andon.sim.sandbox.faults import Active, FaultKind
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Repository
from andon.sim.sandbox.refusals import ApiError

_VERSIONS = frozenset({"2022-11-28", "2026-03-10"})
_DOCUMENTATION = "https://docs.github.com/rest"
_HOURLY_LIMIT = 5000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A call, read: path parameters, query, JSON body (`{}` for none), our address as the caller sees it."""

    path: dict[str, Any]
    query: dict[str, str]
    body: Any
    base_url: str
    url: str

    @property
    def repository_name(self) -> str | None:
        return f"{self.path['owner']}/{self.path['repo']}" if "repo" in self.path else None

    @property
    def scope(self) -> str:
        """Where runners and hooks live: `owner/name` for `/repos/...`, the login for `/orgs/...`."""
        return self.repository_name or self.path["org"]

    def number(self, name: str, default: int, most: int) -> int:
        """A number of the query, from 1 to `most`; nonsense counts as the default, as at GitHub."""
        try:
            return max(1, min(most, int(self.query.get(name, default))))
        except ValueError:
            return default


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer; `body` None means empty."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = {}


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    template: str
    """The path in GitHub's own notation, `{owner}` and all; calls are counted under it."""
    answer: Callable[[Asked], Reply]


def page_of(asked: Asked, items: list[Any], key: str, show: Callable[[Any], Any]) -> Reply:
    """One page of `items` as `{"total_count", key: [...]}`, with GitHub's Link header."""
    per_page = asked.number("per_page", 30, 100)
    page = asked.number("page", 1, 1_000_000)
    last = max(1, -(-len(items) // per_page))
    links: list[str] = []
    for name, to in (("prev", page - 1), ("next", page + 1), ("last", last), ("first", 1)):
        if 1 <= to <= last and (page > 1 if name in ("prev", "first") else page < last):
            links.append(
                f'<{asked.url}?{urlencode({**asked.query, "per_page": str(per_page), "page": str(to)})}>; rel="{name}"'
            )
    shown = [show(item) for item in items[(page - 1) * per_page : page * per_page]]
    return Reply(body={"total_count": len(items), key: shown}, headers={"Link": ", ".join(links)} if links else {})


def repository_of(sandbox: SandboxGitHub, asked: Asked) -> Repository:
    """The repository of the path; raises ApiError 404."""
    return sandbox.world.repository(asked.repository_name or "")


class GitHubCaller:
    """Turns endpoints into routes."""

    def __init__(self, sandbox: SandboxGitHub) -> None:
        self._sandbox = sandbox
        self._used: dict[tuple[str, int], int] = {}

    def route(self, endpoint: Endpoint) -> Route:
        """A route that answers as GitHub does."""

        async def serve(request: Request) -> Response:
            try:
                reply = await self._carry_out(endpoint, request)
            except ApiError as refusal:
                reply = error_reply(refusal)
            self._sandbox.world.calls[f"{endpoint.method} {endpoint.template} {reply.status}"] += 1
            return self._finished(request, reply)

        path = endpoint.template
        for name in ("runner_id", "run_id", "job_id", "hook_id", "delivery_id", "attempt_number"):
            path = path.replace(f"{{{name}}}", f"{{{name}:int}}")
        return Route(path, serve, methods=[endpoint.method])

    async def _carry_out(self, endpoint: Endpoint, request: Request) -> Reply:
        sandbox = self._sandbox
        self._check_caller(request)
        asked = Asked(
            path=dict(request.path_params),
            query=dict(request.query_params),
            body=await json_body(request),
            base_url=str(request.base_url).rstrip("/"),
            url=str(request.url).partition("?")[0],
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
        if slow := befalls.get(FaultKind.API_SLOW):
            await sandbox.clock.sleep(slow.seconds or 0.0)
        if error := befalls.get(FaultKind.API_ERROR):
            return _fault_reply(error, 502)
        sandbox.tick()
        reply = endpoint.answer(asked)
        if lost := befalls.get(FaultKind.API_REPLY_LOST):
            await sandbox.clock.sleep(lost.seconds or 0.0)
            return _fault_reply(lost, 504, retry_after=False)
        return reply

    def _check_caller(self, request: Request) -> None:
        token = bearer(request)
        accepted = self._sandbox.accepted_token
        if not token:
            raise ApiError(401, "Requires authentication")
        if accepted is not None and token != accepted:
            raise ApiError(401, "Bad credentials")
        version = request.headers.get("x-github-api-version", "2022-11-28")
        if version not in _VERSIONS:
            raise ApiError(
                400, f"Version {version!r} is not a valid API version. Send one of {', '.join(sorted(_VERSIONS))}."
            )

    def _finished(self, request: Request, reply: Reply) -> Response:
        sandbox = self._sandbox
        hour = int(sandbox.world.now().timestamp()) // 3600
        caller = (bearer(request), hour)
        body = b"" if reply.body is None else msgspec.json.encode(reply.body)
        headers = dict(reply.headers)
        status = reply.status
        if status == 200 and request.method == "GET":
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()}"'
            if request.headers.get("if-none-match", "").removeprefix("W/") == headers["ETag"]:
                status, body = 304, b""
        if status != 304:
            # An authorised 304 does not count (github-contract.md section 5).
            if caller not in self._used:
                self._used = {key: count for key, count in self._used.items() if key[1] == hour}
            self._used[caller] = self._used.get(caller, 0) + 1
        used = self._used.get(caller, 0)
        headers |= {
            "X-GitHub-Request-Id": f"{sandbox.world.chance.getrandbits(64):016X}",
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-RateLimit-Limit": str(_HOURLY_LIMIT),
            "X-RateLimit-Remaining": str(max(0, _HOURLY_LIMIT - used)),
            "X-RateLimit-Used": str(used),
            "X-RateLimit-Reset": str((hour + 1) * 3600),
            "X-RateLimit-Resource": "core",
        }
        media = "application/json; charset=utf-8" if body else None
        return Response(body, status_code=status, headers=headers, media_type=media)


def bearer(request: Request) -> str:
    """The token of the Authorization header, `Bearer X` or `token X`; empty when there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() in ("bearer", "token") else ""


async def json_body(request: Request) -> Any:
    """The body as JSON, `{}` when there is none; raises ApiError 400."""
    raw = await request.body()
    if not raw.strip():
        return {}
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError(400, "Problems parsing JSON") from None


def error_reply(refusal: ApiError) -> Reply:
    """GitHub's error body."""
    body = {"message": refusal.message, "documentation_url": _DOCUMENTATION, "status": str(refusal.status)}
    return Reply(status=refusal.status, body=body)


def _fault_reply(fault: Active, status: int, *, retry_after: bool = True) -> Reply:
    reply = error_reply(ApiError(fault.status or status, "The sandbox was told to fail this call."))
    if retry_after and fault.seconds is not None:
        return Reply(status=reply.status, body=reply.body, headers={"Retry-After": str(int(fault.seconds))})
    return reply
