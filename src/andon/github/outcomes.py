"""What an answer of GitHub means: one classification for every call (R8, models.md "Errors").

What each class leads to stands in `effects`; errors inside GraphQL's bodies in `graphql_outcomes`.
"""

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
    guessed: bool = False
    """GitHub named no time: `until` is the least that it asks for."""
    local: bool = False
    """Nothing was sent: our own budget or an earlier answer forbade it."""


class Got(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: its body, and GitHub's own time of it."""

    body: bytes
    at: datetime | None
    headers: dict[str, str]
    not_modified: bool = False
    """GitHub said 304: the body is the one kept from before."""


SECONDARY_PAUSE = timedelta(minutes=1)
"""GitHub asks for at least a minute when a secondary limit names no time (contract section 5)."""
SHORTEST_PAUSE = timedelta(seconds=1)
"""A named end nearer than this is this far away: clocks and headers count whole seconds."""
LONGEST_PAUSE = timedelta(days=1)
"""Whatever a header says: a broken clock or proxy must not silence us for ever."""
_WAIT_MARKS = ("rate limit", "abuse")


def classify(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failed | Got:
    """Sorts an answer. `headers` by lower-case name; `now` is our own time, for Retry-After.

    Redirects are followed before this, and 304 is answered from what was kept: a status below 200 or
    from 300 to 399 that comes here is out of contract.
    """
    if 200 <= status < 300:
        return Got(body=body, at=http_date(headers.get("date")), headers=dict(headers))
    message = message_of(body) or f"HTTP status {status}"

    def failed(kind: FailureClass, until: datetime | None = None, *, guessed: bool = False) -> Failed:
        return Failed(kind=kind, status=status, message=message, until=until, guessed=guessed)

    if status < 400:
        return failed(FailureClass.MALFORMED)
    if status in (403, 429):
        named = _named_end(headers, now)
        if named is not None:
            return failed(FailureClass.RATE_LIMITED, named)
        if status == 429 or _has_marks(headers, message, now):
            return failed(FailureClass.RATE_LIMITED, now + SECONDARY_PAUSE, guessed=True)
        return failed(FailureClass.FORBIDDEN)
    if status >= 500:
        asked = retry_after(headers, now)
        return failed(FailureClass.RETRY_LATER, None if asked is None else max(asked, now + SHORTEST_PAUSE))
    kinds = {
        401: FailureClass.UNAUTHORISED,
        404: FailureClass.GONE,
        408: FailureClass.RETRY_LATER,
        409: FailureClass.CONFLICT,
        410: FailureClass.GONE,
        422: FailureClass.INVALID,
    }
    return failed(kinds.get(status, FailureClass.BUG))


def _named_end(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When GitHub says that its limit ends; None when it says nothing, or nothing that is ahead of us."""
    for end in (retry_after(headers, now), quota_end(headers, now)):
        if end is not None and end > now:
            return max(end, now + SHORTEST_PAUSE)
    return None


def quota_end(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When a quota that is spent begins anew; None when it is not spent or no time is named."""
    return reset_time(headers, now) if _is_spent(headers) else None


def _has_marks(headers: Mapping[str, str], message: str, now: datetime) -> bool:
    """Whether a 403 is a limit's: a time to wait (be it over already), a spent quota, or its words."""
    waits = retry_after(headers, now) is not None
    return waits or _is_spent(headers) or any(mark in message.lower() for mark in _WAIT_MARKS)


def _is_spent(headers: Mapping[str, str]) -> bool:
    return headers.get("x-ratelimit-remaining") == "0"


def reset_time(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When the quota begins anew, in our own time: GitHub's clock is read from its Date header."""
    try:
        reset = datetime.fromtimestamp(int(headers.get("x-ratelimit-reset", "")), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    theirs = http_date(headers.get("date")) or now
    return now + min(max(reset - theirs, timedelta()), LONGEST_PAUSE)


def retry_after(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """The end of the pause that Retry-After asks for, in our own time; None without one."""
    value = headers.get("retry-after")
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        # A number of any length: more digits than a day has are a day.
        return now + (LONGEST_PAUSE if len(value) > 9 else min(timedelta(seconds=int(value)), LONGEST_PAUSE))
    at = http_date(value)
    if at is None:
        return None
    theirs = http_date(headers.get("date")) or now
    return now + min(max(at - theirs, timedelta()), LONGEST_PAUSE)


def http_date(value: str | None) -> datetime | None:
    """The time that a Date header says, or None."""
    if value is None:
        return None
    try:
        return datetime.strptime(value, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None


def message_of(body: bytes) -> str | None:
    """GitHub's own sentence in an error's body, cut to a line's length; None when there is none."""
    try:
        parsed: Any = msgspec.json.decode(body)
        message = parsed["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(message)[:300]
