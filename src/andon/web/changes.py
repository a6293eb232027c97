"""What every change through HTTP has in common (interfaces.md section 6): who may, why, and the table."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from andon.runtime.redaction import redact_text
from andon.web.answers import Refusal, decode, read_body
from andon.web.auth import require_operator

T = TypeVar("T")
MAX_BYTES = 64 * 1024
LONGEST_REASON = 1000


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the API: its path, its handler, the body it takes, the shape it gives."""

    path: str
    handler: Callable[[Request], Any]
    takes: Any
    gives: Any


async def asked_by_operator(request: Request, kind: type[T]) -> T:
    """The body as a `kind`, once the operator token was shown. A body without a reason is refused."""
    require_operator(request)
    body = await read_body(request, MAX_BYTES)
    return decode(body or b"{}", kind)


def reason_of(given: str) -> str:
    """The reason as it is kept: with something in it, bounded, on one line, nothing secret in it."""
    reason = " ".join(redact_text(given).split())
    if not reason:
        raise Refusal(422, "The reason is empty.", "Say why: it stands in the journal.")
    if len(reason) > LONGEST_REASON:
        raise Refusal(422, f"The reason is longer than {LONGEST_REASON} characters.", "Say it in fewer.")
    return reason
