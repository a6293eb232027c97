"""The thin transport: sends one request to GitHub and sorts the answer.

One of the two files that know the HTTP library (the other is `runtime/http_client.py`).
"""

from collections.abc import Callable
from typing import Any, Protocol

import httpx2

from andon import __version__
from andon.github.outcomes import Failed, FailureClass, Got, classify
from andon.runtime.clock import Clock

API_VERSION = "2022-11-28"
TIMEOUT_S = 15.0


class Credentials(Protocol):
    """Where a call's token comes from; owners can have different ones (App installations)."""

    async def token_for(self, owner: str) -> str: ...


class FixedToken:
    """A personal or fine-grained token that serves every owner."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token_for(self, owner: str) -> str:
        return self._token


class Transport:
    """Requests with our headers; counts them by endpoint and status. Raises nothing of the library."""

    def __init__(
        self,
        api_url: str,
        credentials: Credentials,
        clock: Clock,
        *,
        count: Callable[[str, str], None] = lambda endpoint, status: None,
        http_transport: Any = None,
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._count = count
        self._not_before: dict[str, Failed] = {}
        """By owner, the limit that GitHub named last: nothing is sent before its end (R8)."""
        self._client = httpx2.AsyncClient(
            base_url=api_url,
            timeout=TIMEOUT_S,
            transport=http_transport,
            headers={
                "accept": "application/vnd.github+json",
                "x-github-api-version": API_VERSION,
                "user-agent": f"andon/{__version__}",
            },
        )

    async def send(
        self,
        method: str,
        path: str,
        *,
        endpoint: str,
        owner: str,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        follow: bool = False,
    ) -> Got | Failed:
        """Sends one request; `endpoint` is its name in metrics (a path template, no ids)."""
        limit = self._not_before.get(owner)
        if limit is not None and limit.until is not None:
            if self._clock.now() < limit.until:
                return limit
            del self._not_before[owner]
        token = await self._credentials.token_for(owner)
        headers = {"authorization": f"Bearer {token}"}
        if body is not None:
            headers["content-type"] = "application/json"
        try:
            answer = await self._client.request(
                method, path, params=query, content=body, headers=headers, follow_redirects=follow
            )
        except (httpx2.HTTPError, OSError) as error:
            self._count(endpoint, "none")
            return Failed(
                kind=FailureClass.RETRY_LATER, status=None, message=f"no answer ({type(error).__name__}: {error})"
            )
        self._count(endpoint, str(answer.status_code))
        outcome = classify(answer.status_code, dict(answer.headers), answer.content, self._clock.now())
        if isinstance(outcome, Failed) and outcome.kind is FailureClass.RATE_LIMITED:
            self._not_before[owner] = outcome
        return outcome

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
