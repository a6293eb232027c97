"""The way to an application on the same event loop instead of GitHub: for the simulator."""

from collections.abc import Awaitable, Callable, Mapping

import httpx2

Carry = Callable[[str, str, Mapping[str, str], bytes], Awaitable[tuple[int, Mapping[str, str], bytes] | None]]
"""Method, path with query, headers and body there; status, headers and body back. None: no answer came."""


class InProcess(httpx2.AsyncBaseTransport):
    """What `Transport` sends its requests through."""

    def __init__(self, carry: Carry) -> None:
        self._carry = carry

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        answer = await self._carry(request.method, request.url.raw_path.decode(), request.headers, body)
        if answer is None:
            raise httpx2.ConnectError("no way to GitHub")
        status, headers, content = answer
        return httpx2.Response(status, headers=headers, content=content)
