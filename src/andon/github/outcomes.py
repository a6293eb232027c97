"""What an answer of GitHub means: one classification for every call (R8, models.md "Errors")."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec


class FailureClass(StrEnum):
    """The kinds of failure, each with one effect. None of them ever means "nothing is there"."""

    RETRY_LATER = "retry_later"
    """No answer, or 5xx: the call may have been carried out; asked again with a growing pause."""
    RATE_LIMITED = "rate_limited"
    """403 or 429 with a limit's marks: nothing is sent to this owner before `until`."""
    UNAUTHORISED = "unauthorised"
    """401: the credential is not accepted."""
    FORBIDDEN = "forbidden"
    """403 without a limit's marks: a permission is missing, or the act is not allowed now."""
    GONE = "gone"
    """404 or 410: what was named is not there, or not ours to see."""
    CONFLICT = "conflict"
    """409: it exists already, or its state forbids the act."""
    INVALID = "invalid"
    """422: GitHub understood and refuses; for a runner's deletion: it is busy."""
    MALFORMED = "malformed"
    """An answer that is not what the contract says: read as no answer."""
    BUG = "bug"
    """Any other 4xx: we sent something wrong."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A call that gave nothing."""

    kind: FailureClass
    status: int | None
    message: str
    until: datetime | None = None
    """Not before; from Retry-After or the rate limit's reset."""


class Got(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: its body, and GitHub's own time of it."""

    body: bytes
    at: datetime | None
    headers: dict[str, str]


SECONDARY_PAUSE = timedelta(minutes=1)
"""GitHub asks for at least a minute when a secondary limit names no time (contract section 5)."""
LONGEST_PAUSE = timedelta(days=1)
"""Whatever a header says: a broken clock or proxy must not silence us for ever."""
_WAIT_MARKS = ("rate limit", "abuse")


def classify(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failed | Got:
    """Sorts an answer. `headers` by lower-case name; `now` is our own time, for Retry-After."""
    if 200 <= status < 400:
        return Got(body=body, at=_http_date(headers.get("date")), headers=dict(headers))
    message = _message(body) or f"HTTP status {status}"

    def failed(kind: FailureClass, until: datetime | None = None) -> Failed:
        return Failed(kind=kind, status=status, message=message, until=until)

    if status in (403, 429):
        until = _limit_end(status, headers, message, now)
        if until is not None:
            return failed(FailureClass.RATE_LIMITED, until)
        return failed(FailureClass.FORBIDDEN)
    if status >= 500:
        return failed(FailureClass.RETRY_LATER, _retry_after(headers, now))
    kinds = {
        401: FailureClass.UNAUTHORISED,
        404: FailureClass.GONE,
        408: FailureClass.RETRY_LATER,
        409: FailureClass.CONFLICT,
        410: FailureClass.GONE,
        422: FailureClass.INVALID,
    }
    return failed(kinds.get(status, FailureClass.BUG))


def _limit_end(status: int, headers: Mapping[str, str], message: str, now: datetime) -> datetime | None:
    """When the limit ends, or None when this is no limit at all."""
    if after := _retry_after(headers, now):
        return after
    if headers.get("x-ratelimit-remaining") == "0":
        try:
            reset = datetime.fromtimestamp(int(headers.get("x-ratelimit-reset", "")), UTC)
        except (ValueError, OverflowError, OSError):
            return now + SECONDARY_PAUSE
        return min(reset, now + LONGEST_PAUSE)
    if status == 429 or any(mark in message.lower() for mark in _WAIT_MARKS):
        return now + SECONDARY_PAUSE
    return None


def _retry_after(headers: Mapping[str, str], now: datetime) -> datetime | None:
    value = headers.get("retry-after")
    if value is None:
        return None
    if value.isascii() and value.strip().isdigit():
        return now + min(timedelta(seconds=min(int(value), 10**9)), LONGEST_PAUSE)
    at = _http_date(value)
    return min(at, now + LONGEST_PAUSE) if at else None


def _http_date(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.strptime(value, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None


def _message(body: bytes) -> str | None:
    try:
        parsed: Any = msgspec.json.decode(body)
        message = parsed["message"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(message)[:300]
