"""Asks a sandbox GitHub on virtual time, in process; every answer is held against GitHub's description."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httpx2
import jwt

from andon.runtime.http_client import HttpClient
from andon.sim.sandbox.app import make_app
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.virtual_time import VirtualClock
from tests.contract.exchange_check import check


class Told(NamedTuple):
    """An answer; `body` is decoded when it is JSON."""

    status: int
    body: Any
    headers: dict[str, str]


class SandboxCaller:
    """One sandbox, and somebody who asks it."""

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock()
        self.github = SandboxGitHub(self.clock, random.Random(1), **options)
        self.mismatches: list[str] = []
        app = make_app(self.github, tap=lambda exchange: self.mismatches.extend(check(exchange)))
        self.client = HttpClient("http://sandbox", token="t0ken", transport=httpx2.ASGITransport(app=app))

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Told:
        given = dict(headers or {})
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        answer = await self.client.request(method, path, body=raw, query=query, headers=given)
        try:
            decoded = json.loads(answer.body)
        except ValueError:
            decoded = answer.body
        return Told(answer.status, decoded, answer.headers)

    async def control(self, path: str, body: Any = None) -> Any:
        """A control call that must work."""
        told = await self.ask("POST", f"/_sandbox/{path}", body or {})
        assert told.status in (200, 201), told
        return told.body

    async def fault(self, kind: str, *, count: int | None = 1, **more: Any) -> None:
        await self.control("faults", {"kind": kind, "count": count, **more})

    async def truth(self) -> Any:
        return (await self.ask("GET", "/_sandbox/truth")).body

    def app_jwt(self, app_id: object, pem: str, *, issued: float = -60, lives: float = 500, **claims: Any) -> str:
        now = int(self.clock.now().timestamp())
        return jwt.encode(
            {"iat": now + issued, "exp": now + lives, "iss": str(app_id), **claims}, pem, algorithm="RS256"
        )

    async def installed(
        self, permissions: dict[str, str], *, repositories: list[str] | None = None, **app: Any
    ) -> tuple[dict[str, Any], int]:
        """An App made and installed at `acme`: what control answered, and the installation's id."""
        made = await self.control("apps", {"name": "Andon", "owner": "acme", "permissions": permissions, **app})
        where = {"app": made["id"], "account": "acme", "repositories": repositories}
        return made, (await self.control("installations", where))["id"]

    async def installation_token(self, app: dict[str, Any], installation: int, body: Any = None) -> str:
        told = await self.ask(
            "POST",
            f"/app/installations/{installation}/access_tokens",
            body,
            token=self.app_jwt(app["id"], app["pem"]),
        )
        assert told.status == 201, told
        return told.body["token"]


def through(story: Callable[[SandboxCaller], Awaitable[None]], **options: Any) -> None:
    """Lives through `story`; at the end no answer was out of contract."""

    async def tell() -> None:
        caller = SandboxCaller(**options)
        try:
            await story(caller)
        finally:
            await caller.client.close()
        assert not caller.mismatches, "\n".join(caller.mismatches)

    asyncio.run(tell())
