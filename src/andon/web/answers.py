"""Answers in JSON, and refusals as one clear sentence (interfaces.md section 6)."""

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from andon.model.api import ErrorBody, Problem
from andon.runtime.hostile_text import without_nul

_CODES = {
    400: "bad_request",
    401: "unauthorised",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    422: "invalid",
    426: "upgrade_required",
    503: "not_ready",
}


class Refusal(Exception):
    """A request that is refused, with the status and the sentence that say why."""

    def __init__(self, status: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = Problem(code=_CODES.get(status, "error"), message=message, hint=hint)


def answer(value: Any, status: int = 200) -> Response:
    """`value` as JSON. Times become RFC 3339 in UTC with `Z`."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def on_refusal(request: Request, error: Exception) -> Response:
    """A Refusal as its JSON body."""
    assert isinstance(error, Refusal)
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else None
    return Response(
        msgspec.json.encode(ErrorBody(error=error.problem)),
        error.status,
        headers=headers,
        media_type="application/json",
    )


async def on_exception(request: Request, error: Exception) -> Response:
    """A fault of ours: in our shape too, with nothing of its inside; the log has the traceback."""
    return await on_refusal(request, Refusal(500, "Andon failed here. Its log says how."))


async def on_unavailable(request: Request, error: Exception) -> Response:
    """The database is away: whoever asks may try again, and `/api/v1/status` says what goes on meanwhile."""
    return await on_refusal(request, database_away())


def database_away() -> Refusal:
    """How everything is refused that needs the database."""
    hint = "Try again later. The board, and GET /api/v1/status, say what is done meanwhile."
    return Refusal(503, "The database does not answer.", hint)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """The framework's own refusals (unknown path, wrong method), in our shape."""
    assert isinstance(error, HTTPException)
    hint = "The paths are listed in /openapi.json." if error.status_code == 404 else None
    message = f"{request.method} {request.url.path}: {error.detail}."
    return await on_refusal(request, Refusal(error.status_code, message, hint))


async def read_body(request: Request, limit: int) -> bytes:
    """The body, refused with 413 as soon as it is longer than `limit` bytes."""
    declared = request.headers.get("content-length", "")
    chunks: list[bytes] = []
    size = int(declared) if declared.isdigit() else 0
    if size <= limit:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                break
            chunks.append(chunk)
    if size > limit:
        raise Refusal(413, f"The body is larger than {limit} bytes.", "Nothing was stored.")
    return b"".join(chunks)


def decode(body: bytes, kind: type[Any]) -> Any:
    """The body as a `kind`; 400 when it is not JSON, 422 when it does not fit."""
    try:
        return msgspec.json.decode(without_nul(body), type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(422, f"The body does not fit: {error}.") from None
    except (ValueError, RecursionError) as error:
        # ValueError: msgspec's own, and bytes that are no UTF-8.
        raise Refusal(400, f"The body is not JSON: {error}.") from None
