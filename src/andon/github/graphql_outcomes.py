"""Errors that stand inside a GraphQL answer of status 200, sorted into the same classes."""

from datetime import datetime
from typing import Any

import msgspec

from andon.github.outcomes import SECONDARY_PAUSE, SHORTEST_PAUSE, Failed, FailureClass, Got, quota_end

_KINDS = {
    "RATE_LIMITED": FailureClass.RATE_LIMITED,
    "RATE_LIMIT": FailureClass.RATE_LIMITED,
    "FORBIDDEN": FailureClass.FORBIDDEN,
    "INSUFFICIENT_SCOPES": FailureClass.FORBIDDEN,
    "SAML_FAILURE": FailureClass.FORBIDDEN,
    "NOT_FOUND": FailureClass.GONE,
    "UNPROCESSABLE": FailureClass.INVALID,
    "SERVICE_UNAVAILABLE": FailureClass.RETRY_LATER,
    "INTERNAL": FailureClass.RETRY_LATER,
    "TIMEOUT": FailureClass.RETRY_LATER,
}
"""By an error's `type`. Others that name a type or a code are our fault: BUG."""
_GRAVEST = (
    FailureClass.RATE_LIMITED,
    FailureClass.RETRY_LATER,
    FailureClass.BUG,
    FailureClass.FORBIDDEN,
    FailureClass.INVALID,
    FailureClass.GONE,
)


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    message: str = ""
    type: str | None = None
    path: tuple[str | int, ...] | None = None
    extensions: dict[str, Any] | None = None


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    data: dict[str, Any] | None = None
    errors: tuple[_Error, ...] | None = None


def classify_graphql(got: Got, now: datetime) -> Got | Failed:
    """The answer itself, or what its errors mean. `now`: our own time.

    An error about one entry of a list, which then is null ("could not resolve to a node"), is no
    failure: the null is read as unknown by whoever asked.
    """
    try:
        answer = msgspec.json.decode(got.body, type=_Answer)
    except (ValueError, RecursionError) as error:
        return Failed(kind=FailureClass.MALFORMED, status=200, message=f"an answer out of contract: {error}")
    errors = [each for each in answer.errors or () if not _concerns_one_entry(each, answer)]
    if not errors:
        if answer.data is None:
            return Failed(kind=FailureClass.MALFORMED, status=200, message="an answer without data and errors")
        return got
    kind, error = min(((_kind(each), each) for each in errors), key=lambda pair: _GRAVEST.index(pair[0]))
    message = (error.message or "an error without a message")[:300]
    if kind is not FailureClass.RATE_LIMITED:
        return Failed(kind=kind, status=200, message=message)
    named = quota_end(got.headers, now)
    if named is None or named <= now:
        # An end that is over already says nothing of when to come again.
        return Failed(kind=kind, status=200, message=message, until=now + SECONDARY_PAUSE, guessed=True)
    return Failed(kind=kind, status=200, message=message, until=max(named, now + SHORTEST_PAUSE))


def _concerns_one_entry(error: _Error, answer: _Answer) -> bool:
    has_place = error.path is not None and any(isinstance(step, int) for step in error.path)
    return answer.data is not None and has_place and error.type in ("NOT_FOUND", "FORBIDDEN")


def _kind(error: _Error) -> FailureClass:
    code = (error.extensions or {}).get("code")
    name = error.type or (code if isinstance(code, str) else None)
    # "Something went wrong while executing your query": GitHub's time-outs name no type.
    return FailureClass.RETRY_LATER if name is None else _KINDS.get(name.upper(), FailureClass.BUG)
