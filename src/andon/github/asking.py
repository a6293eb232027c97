"""How calls are asked and answers decoded: one object, an act without an answer, or a whole list.

A list is whole or Failed: a page that is missing, cut short or out of contract is never read as
"nothing more is there" (R8, law 4).
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from andon.github.call import Call, Sender
from andon.github.outcomes import Failed, FailureClass, Got
from andon.runtime.hostile_text import without_nul

T = TypeVar("T")
P = TypeVar("P")
PAGE = 100
MAX_PAGES = 110
"""10,000 runners in a group are 100 pages (contract section 5)."""


class Listed(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A whole list, with GitHub's own time of its first page."""

    items: tuple[T, ...]
    at: datetime | None
    not_modified: bool = False
    """Every page is as it was when it was read last."""


def decode(got: Got | Failed, kind: type[T]) -> T | Failed:
    """The answer's body as `kind`; MALFORMED when it is not."""
    if isinstance(got, Failed):
        return got
    try:
        return msgspec.json.decode(without_nul(got.body), type=kind)
    except (ValueError, RecursionError, OverflowError) as error:
        return malformed(f"an answer out of contract: {error}")


def malformed(what: str) -> Failed:
    """A failure of the class MALFORMED."""
    return Failed(kind=FailureClass.MALFORMED, status=None, message=what)


def has_next(got: Got) -> bool | None:
    """Whether the Link header names another page; None when there is no such header."""
    link = got.headers.get("link")
    return None if link is None else 'rel="next"' in link


class Asking:
    """What the topics are made of."""

    def __init__(self, transport: Sender) -> None:
        self._transport = transport

    async def _ask(self, call: Call, kind: type[T]) -> T | Failed:
        return decode(await self._transport.send(call), kind)

    async def _ask_whole(self, call: Call, kind: type[T]) -> tuple[T, Got] | Failed:
        """The decoded answer with what it came in: its time and headers."""
        got = await self._transport.send(call)
        if isinstance(got, Failed):
            return got
        decoded = decode(got, kind)
        return decoded if isinstance(decoded, Failed) else (decoded, got)

    async def _do(self, call: Call) -> Failed | None:
        got = await self._transport.send(call)
        return got if isinstance(got, Failed) else None

    async def _list(
        self,
        call: Call,
        kind: type[P],
        items_of: Callable[[P], Sequence[T]],
        total_of: Callable[[P], int] | None = None,
        *,
        most: int | None = None,
        exact: bool = True,
    ) -> Listed[T] | Failed:
        """Every page of `call`. `most`: GitHub shows no more of this list, whatever its total says.

        Not `exact`: the total is an estimate, and only an empty list is checked against it.
        """
        found: list[T] = []
        at: datetime | None = None
        same = True
        for page in range(1, MAX_PAGES + 1):
            query = {**call.query, "per_page": str(PAGE), "page": str(page)}
            answer = await self._ask_whole(msgspec.structs.replace(call, query=query), kind)
            if isinstance(answer, Failed):
                return answer
            decoded, got = answer
            at = at or got.at
            same = same and got.not_modified
            items = items_of(decoded)
            found.extend(items)
            total = None if total_of is None else total_of(decoded)
            promised = None if total is None else min(total, most or total)
            more = has_next(got)
            if more is None:
                more = len(items) == PAGE and (promised is None or len(found) < promised)
            if more and (most is None or len(found) < most):
                continue
            if promised is not None and len(found) < (promised if exact else min(promised, 1)):
                return malformed(f"a list was cut short: {len(found)} of {promised} came")
            return Listed(items=tuple(found), at=at, not_modified=same)
        return malformed(f"a list of more than {MAX_PAGES} pages")


def encode(**fields: object) -> bytes:
    """A JSON body of the fields that are not None."""
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
