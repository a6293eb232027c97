"""Asks the control plane's API, shows that it waits, and turns every failure into one sentence."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from andon.cli.server_choice import ServerChoice, choose_server
from andon.runtime.clock import Clock, SystemClock
from andon.runtime.environment import environment
from andon.runtime.errors import Refused
from andon.runtime.http_client import Answer, HttpClient, Unreachable, Untrusted

T = TypeVar("T")
PAGE = 500
"""The most that the API gives in one answer."""
_TIMEOUT_S = 15.0
_PROGRESS_AFTER_S = 2.0


class Reader:
    """One control plane, asked. Raises Refused for an answer that is no good, Unreachable for none."""

    def __init__(self, choice: ServerChoice, http: HttpClient) -> None:
        self.url = choice.url
        self._http = http

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object that `path` answers."""
        return self._decoded(path, await self._http.request("GET", path, query=dict(query or {})))

    async def change(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Asks for a change, with its reason in `body`; gives the answer's JSON object."""
        return self._decoded(path, await self._http.request("POST", path, body=msgspec.json.encode(body)))

    async def get_any_status(self, path: str) -> tuple[int, dict[str, Any]]:
        """Like `get`, for answers whose status is news and no error (`/readyz`)."""
        answer = await self._http.request("GET", path)
        try:
            return answer.status, msgspec.json.decode(answer.body, type=dict[str, Any])
        except msgspec.MsgspecError:
            return answer.status, {}

    async def list(self, path: str, query: Mapping[str, str] | None = None, *, limit: int) -> dict[str, Any]:
        """Up to `limit` items as `{"items": [...], "next": cursor or null}`, over as many pages as needed."""
        items: list[Any] = []
        asked = dict(query or {})
        while True:
            asked["limit"] = str(min(PAGE, limit - len(items)))
            page = await self.get(path, asked)
            found: Any = page.get("items")
            if not isinstance(found, list):
                raise Refused(f"{self.url}{path}: the answer has no list of items. Is that a control plane?")
            items += found
            cursor = page.get("next")
            if not cursor or not found or len(items) >= limit:
                return {"items": items, "next": cursor}
            asked["cursor"] = str(cursor)

    def typed(self, value: Any, kind: type[T]) -> T:
        """`value` of an answer as a shape of `model.api`."""
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise Refused(
                f"{self.url}: an answer does not fit ({error}). Is that a control plane of this version?"
            ) from None

    def _decoded(self, path: str, answer: Answer) -> dict[str, Any]:
        if answer.status >= 400:
            raise Refused(f"{self.url}{path}: {answer.error_text()}{self._advice(answer.status)}")
        try:
            return msgspec.json.decode(answer.body, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise Refused(f"{self.url}{path}: the answer is no JSON object. Is that a control plane?") from None

    def _advice(self, status: int) -> str:
        return " Name a token's file with --token-file or --data." if status in (401, 403) else ""


def read(
    work: Callable[[Reader], Awaitable[T]],
    *,
    config: Path | None,
    data: Path | None,
    server: str | None,
    token_file: Path | None,
    clock: Clock | None = None,
    to_change: bool = False,
) -> T:
    """Runs `work` against the control plane that the options name; `to_change`: as an operator.

    Raises Refused, also for one that does not answer.
    """
    choice = choose_server(
        config=config,
        data=data,
        server=server,
        token_file=token_file,
        environ=environment(),
        to_change=to_change,
    )
    try:
        return asyncio.run(_read(work, choice, clock or SystemClock()))
    except Untrusted as error:
        raise Refused(str(error)) from None
    except Unreachable as error:
        said = str(error).rstrip(".")
        raise Refused(f"{said}. Start it with `andon up`, or name another with --server.") from None


async def _read(work: Callable[[Reader], Awaitable[T]], choice: ServerChoice, clock: Clock) -> T:
    http = HttpClient(choice.url, token=choice.token, timeout=_TIMEOUT_S, ca_file=choice.ca_file)
    try:
        async with Progress(f"Asking {choice.url} ...", clock):
            return await work(Reader(choice, http))
    finally:
        await http.close()


class Progress:
    """Says on a terminal's standard error what is waited for, once that took two seconds."""

    def __init__(self, text: str, clock: Clock) -> None:
        self._text = text
        self._clock = clock

    async def __aenter__(self) -> None:
        self._saying = asyncio.ensure_future(self._say()) if sys.stderr.isatty() else None

    async def __aexit__(self, *_: object) -> None:
        if self._saying is not None:
            self._saying.cancel()
            await asyncio.gather(self._saying, return_exceptions=True)

    async def _say(self) -> None:
        await self._clock.sleep(_PROGRESS_AFTER_S)
        from rich.console import Console

        with Console(stderr=True).status(self._text):
            await asyncio.Event().wait()
