"""One endpoint of GitHub's API as data: what is asked, what is answered, what it takes.

The rules that all endpoints share are in `api_calls`, so that an endpoint is a function from `Asked`
to `Reply`.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from andon.sim.sandbox.callers import Caller
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Repository
from andon.sim.sandbox.refusals import ApiError

_DOCUMENTATION = "https://docs.github.com/rest"
T = TypeVar("T")


class Who(StrEnum):
    """Whose call an endpoint takes."""

    TOKEN = "token"
    """Any token with the rights; not an App's JSON web token."""
    APP = "app"
    """An App itself, by its JSON web token."""
    KNOWN = "known"
    """Anybody who is known."""
    OPEN = "open"
    """Everybody, without a token too."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A call, read: path parameters, query, JSON body (`{}` for none), our address as the caller sees it."""

    path: dict[str, Any]
    query: dict[str, str]
    body: Any
    base_url: str
    url: str
    caller: Caller | None = None
    """None where no token is needed."""
    token: str = ""

    @property
    def repository_name(self) -> str | None:
        return f"{self.path['owner']}/{self.path['repo']}" if "repo" in self.path else None

    @property
    def owner(self) -> str | None:
        return self.path.get("owner") or self.path.get("org")

    @property
    def scope(self) -> str:
        """Where runners and hooks live: `owner/name` for `/repos/...`, the login for `/orgs/...`."""
        return self.repository_name or self.path["org"]

    @property
    def login(self) -> str:
        """The login of the caller, as the author of what it makes."""
        return self.caller.login if self.caller else "octocat"

    def number(self, name: str, default: int, most: int) -> int:
        """A number of the query, from 1 to `most`; nonsense counts as the default, as at GitHub."""
        try:
            return max(1, min(most, int(self.query.get(name, default))))
        except ValueError:
            return default

    def read(self, kind: type[T]) -> T:
        """The body as a `kind`; raises ApiError 422."""
        try:
            return msgspec.convert(self.body, kind)
        except msgspec.ValidationError as error:
            raise ApiError(422, f"Invalid request.\n\n{error}") from None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer; `body` None means empty."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = {}
    cut: bool = False
    """Whether its JSON breaks off in the middle (a fault)."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    template: str
    """The path in GitHub's own notation, `{owner}` and all; calls are counted under it."""
    answer: Callable[[Asked], Reply]
    permission: str = ""
    """What an App or a fine-grained token needs: `actions:write`."""
    scope: str = ""
    """What a classic token needs: `repo`."""
    who: Who = Who.TOKEN
    resource: str = "core"
    """The budget it uses; `jit` for minting, whose budget is configured; empty: none."""
    creates_content: bool = False
    """Whether the limits on content-creating calls count it."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"


def page_of(asked: Asked, items: Sequence[T], key: str | None, show: Callable[[T], Any]) -> Reply:
    """One page of `items` with GitHub's Link header: `{"total_count", key: [...]}`, a bare list without `key`."""
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
    headers = {"Link": ", ".join(links)} if links else {}
    return Reply(body=shown if key is None else {"total_count": len(items), key: shown}, headers=headers)


def repository_of(sandbox: SandboxGitHub, asked: Asked) -> Repository:
    """The repository of the path; raises ApiError 404."""
    return sandbox.world.repository(asked.repository_name or "")


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
    body: dict[str, Any] = {
        "message": refusal.message,
        "documentation_url": _DOCUMENTATION,
        "status": str(refusal.status),
    }
    if refusal.errors is not None:
        body["errors"] = refusal.errors
    return Reply(status=refusal.status, body=body, headers=dict(refusal.headers))
