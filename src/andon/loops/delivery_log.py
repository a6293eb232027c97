"""Reads one webhook's delivery log: what failed, and then what succeeded since (contract section 2).

A read is whole or says nothing (law 4). One that is long is spread over several passes, and a page
that failed is asked for again where the read stopped.
"""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from andon.github.client import GitHub
from andon.github.hook_payloads import DeliveryObject, HookLog
from andon.github.outcomes import Failed, FailureClass
from andon.rules.doctor_hook import SentTry
from andon.rules.redelivery import SLACK

PAGES = 10
"""Of a hundred tries each, in one pass: the quota is for others too."""
READ_LASTS = timedelta(hours=1)
"""A read that has got no page for so long begins anew: its cursor may be none any more."""

Unknown = Callable[[Collection[str]], Awaitable[set[str]]]
"""Those of the GUIDs that are neither here nor asked for."""


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """A whole read: every try that failed since the last one, and what succeeded since the oldest of them."""

    tries: tuple[SentTry, ...]


class _Reading(msgspec.Struct, kw_only=True):
    """A read that is under way."""

    began: datetime
    moved: datetime
    """When its last page came."""
    wanted: set[str] = set()
    """GUIDs whose success is looked for."""
    status: Literal["failure", "success"] = "failure"
    cursor: str | None = None
    tries: list[SentTry] = []
    until: datetime | None = None
    """Older ones are of no use; None: all that GitHub lists."""
    arrives: bool = False
    """A success was kept: the newest, which shows whether what GitHub sends arrives."""

    def is_of_use(self, one: DeliveryObject) -> bool:
        """Whether a try is kept. A busy fleet has some hundred thousand successes in three days."""
        if _is_before(one, self.until):
            return False
        if self.status == "success" and one.guid not in self.wanted:
            first, self.arrives = not self.arrives, True
            return first
        return True


class DeliveryLog:
    """One log, with what has to be remembered from pass to pass. All of it may be forgotten."""

    def __init__(self, github: GitHub, log: HookLog) -> None:
        self.log = log
        self.waiting: dict[str, SentTry] = {}
        """By GUID, the deliveries that are to be asked for, the oldest first."""
        self.trials = 0
        """How many trials in a row were made while nothing arrived."""
        self.failed = 0
        """How many passes in a row got no page."""
        self.due = 0.0
        """When it is looked at next, in seconds of the monotonic clock."""
        self._github = github
        self._read_to: datetime | None = None
        """Failures up to here were seen by a whole read."""
        self._reading: _Reading | None = None

    @property
    def name(self) -> str:
        """For the log."""
        scope = self.log.scope
        return "the App" if scope is None else scope.repository or scope.owner

    async def read(self, now: datetime, unknown: Unknown) -> Whole | Failed | None:
        """Reads on; None while the end is not reached."""
        if self._reading is None or now - self._reading.moved > READ_LASTS:
            until = None if self._read_to is None else self._read_to - SLACK
            self._reading = _Reading(began=now, moved=now, until=until)
        reading = self._reading
        for _ in range(PAGES):
            page = await self._github.deliveries(self.log, status=reading.status, cursor=reading.cursor)
            if isinstance(page, Failed):
                if page.kind is FailureClass.INVALID:
                    # The cursor is none any more.
                    self._reading = None
                return page
            reading.moved = now
            reading.tries += [_try(one) for one in page.items if reading.is_of_use(one)]
            reading.cursor = page.next
            if page.next is not None and not any(_is_before(one, reading.until) for one in page.items):
                continue
            if reading.status == "success" or not await self._begin_successes(reading, unknown):
                self._reading = None
                failures = [one.at for one in reading.tries if one.code >= 300]
                self._read_to = max([*failures, *([self._read_to] if self._read_to else [])], default=None)
                return Whole(tries=tuple(reading.tries))
        return None

    async def _begin_successes(self, reading: _Reading, unknown: Unknown) -> bool:
        """Whether it matters what succeeded: only when something failed that we do not have."""
        wanted = await unknown({one.guid for one in reading.tries})
        if not wanted and not self.waiting:
            return False
        oldest = min((one.at for one in reading.tries if one.guid in wanted), default=reading.began)
        reading.wanted = wanted | self.waiting.keys()
        reading.status, reading.cursor, reading.until = "success", None, oldest - SLACK
        return True


def _is_before(one: DeliveryObject, at: datetime | None) -> bool:
    return at is not None and one.delivered_at < at


def _try(one: DeliveryObject) -> SentTry:
    return SentTry(
        id=one.id,
        guid=one.guid,
        at=one.delivered_at,
        code=one.status_code,
        event=one.event,
        action=one.action,
        redelivery=one.redelivery,
    )
