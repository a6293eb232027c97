"""A GitHub that answers as it is told: what was asked is kept, what is answered is scripted."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx2

from andon.github.client import GitHub
from andon.github.credentials import Credentials, FixedToken
from andon.github.transport import Transport
from andon.sim.virtual_time import VirtualClock

API = "https://api.github.test"
Answer = Callable[[httpx2.Request], httpx2.Response | Awaitable[httpx2.Response]]


def reply(status: int = 200, body: Any = None, **headers: str) -> httpx2.Response:
    """An answer; header names are written with `_` for `-`."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return httpx2.Response(status, content=content, headers={k.replace("_", "-"): v for k, v in headers.items()})


def quota(limit: int, remaining: int, resets_at: datetime, **more: str) -> dict[str, str]:
    """GitHub's rate headers."""
    return {
        "x_ratelimit_limit": str(limit),
        "x_ratelimit_remaining": str(remaining),
        "x_ratelimit_reset": str(int(resets_at.timestamp())),
        "x_ratelimit_resource": more.pop("resource", "core"),
        **more,
    }


def http_time(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC), usegmt=True)


class Peer:
    """`answers` are given one after the other, the last one again and again; functions see the request."""

    def __init__(
        self,
        *answers: httpx2.Response | Answer,
        clock: VirtualClock | None = None,
        credentials: Credentials | None = None,
        api: str = API,
        budget_percent: float = 80.0,
    ) -> None:
        self.answers = list(answers)
        self.asked: list[httpx2.Request] = []
        self.counted: list[tuple[str, str]] = []
        self.clock = clock or VirtualClock(datetime(2026, 11, 22, 10, tzinfo=UTC))
        self.transport = Transport(
            api,
            credentials or FixedToken("s3cret"),
            self.clock,
            count=lambda endpoint, status: self.counted.append((endpoint, status)),
            http_transport=httpx2.MockTransport(self._answer),
            budget_percent=budget_percent,
        )
        self.github = GitHub(self.transport)

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        # Others get their turn, as on a network.
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx2.Response):
            # A response can be read once only.
            return httpx2.Response(answer.status_code, content=answer.content, headers=answer.headers)
        given = answer(request)
        return given if isinstance(given, httpx2.Response) else await given

    @property
    def lines(self) -> list[str]:
        """What was asked, as "GET /path?query"."""
        return [f"{each.method} {each.url.raw_path.decode()}" for each in self.asked]

    @property
    def body(self) -> Any:
        """What the last request carried."""
        return json.loads(self.asked[-1].content)
