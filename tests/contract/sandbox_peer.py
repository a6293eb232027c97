"""A client of the sandbox GitHub in process, whose calls and answers are all held against the description.

It sends what our GitHub room would send (the same headers), so requests are checked, too; and it
remembers which published operations were answered well.
"""

import json
import random
from typing import Any

import httpx2
import jwt
from starlette.applications import Starlette
from starlette.routing import Route

from andon.sim.sandbox import control
from andon.sim.sandbox.app import make_app
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.tap import Exchange
from tests.contract.exchange_check import PAGES, check
from tests.contract.jumping_clock import JumpingClock
from tests.contract.published import contract

HEADERS = {
    "user-agent": "andon/contract",
    "accept": "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
}


def templates(app: Starlette) -> set[str]:
    """Every call of GitHub's API that the application serves, as `METHOD /path/{template}`."""
    found: set[str] = set()
    for route in app.routes:
        if isinstance(route, Route) and not route.path.startswith("/_") and route.path not in PAGES:
            path = "/".join(part.partition(":")[0] + "}" if ":" in part else part for part in route.path.split("/"))
            found |= {f"{method} {path}" for method in (route.methods or set()) - {"HEAD"}}
    return found


class Peer:
    """One sandbox and its caller."""

    def __init__(self) -> None:
        self.clock = JumpingClock()
        self.github = SandboxGitHub(self.clock, random.Random(1), base_url="http://github.test")
        self.app = make_app(self.github, self._hear)
        self.mismatches: list[str] = []
        self.done: set[str] = set()
        """Operations, also ones that are not described, that were answered below 400."""
        self.token = "a-token"
        self._client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app), base_url="http://github.test", headers=HEADERS
        )

    def _hear(self, exchange: Exchange) -> None:
        self.mismatches += check(exchange)
        operation = contract().find(exchange.method, exchange.path)
        if operation is not None and exchange.status < 400:
            self.done.add(operation.name)

    async def call(
        self, method: str, path: str, body: Any = None, *, status: int, token: str | None = None, **query: Any
    ) -> Any:
        """Calls, insists on a status, and gives the decoded answer."""
        headers = {"authorization": f"Bearer {self.token if token is None else token}"}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["content-type"] = "application/json"
        answer = await self._client.request(
            method, path, content=content, headers=headers, params={name: str(value) for name, value in query.items()}
        )
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return json.loads(answer.content) if answer.content[:1] in (b"{", b"[") else answer

    def order(self, path: str, body: Any) -> Any:
        """A control call, which must succeed."""
        status, answer = control.post(self.github, f"/_sandbox/{path}", body)
        assert status < 300, answer
        return answer

    def jwt(self, app: int, pem: str) -> str:
        """An App's own credential."""
        now = int(self.clock.now().timestamp())
        return jwt.encode({"iat": now - 10, "exp": now + 300, "iss": str(app)}, pem, algorithm="RS256")

    def deliver(self) -> None:
        """Every delivery that waits arrives."""
        while ready := self.github.hooks.take():
            for each in ready:
                self.github.hooks.report(each.send, 202, "OK", 0.01)

    def serve_jobs(self, runner_id: int, conclusion: str = "success") -> None:
        """The runner serves one job to its end, with a log."""
        world, execution = self.github.world, self.github.execution
        runner = world.runners[runner_id]
        session = self.github.runners.open_session(runner, version="2.336.0", os="linux")
        self.github.runners.begin_poll(session)
        message = execution.next_message(session)
        assert message is not None, "there was no job for it"
        job = execution.acquire(runner, session.id, message["job"]["id"])
        execution.put_log(runner, job.id, b"a log\n")
        execution.complete(runner, job.id, conclusion, [])

    async def close(self) -> None:
        await self._client.aclose()
