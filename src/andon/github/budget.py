"""What may be sent with one credential: quota, pace, and the pauses that GitHub asked for (R8, I12).

Pure state. It decides by monotonic seconds, so that a clock that jumps neither shortens a pause nor
begins a window early; times of day are made for those who read them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from andon.github.call import Call, Priority
from andon.github.outcomes import (
    LONGEST_PAUSE,
    SECONDARY_PAUSE,
    SHORTEST_PAUSE,
    Failed,
    FailureClass,
    Got,
    reset_time,
)
from andon.github.pacing import Pacing, points_of
from andon.github.quota import Quota
from andon.model.budget import BudgetView

CORE = "core"
_GUESSED_LONGEST = timedelta(hours=1)
_REFUSED_FIRST = timedelta(seconds=15)
_REFUSED_LONGEST = timedelta(minutes=10)


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Now, by both clocks."""

    at: datetime
    monotonic: float


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was let through; it is given back with the answer, or without one."""

    endpoint: str
    resource: str
    monotonic: float


class _Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing is sent, and until when (monotonic)."""

    failure: Failed
    until: float
    sentence: str | None = None
    """What an earlier process said of it, whole."""


class Budget:
    """One credential's budget. Every admitted call must come back by `answered` or `unanswered`."""

    def __init__(self, account: str, percent: float) -> None:
        self.account = account
        self.owners: set[str] = set()
        self._percent = percent
        self._quotas: dict[str, Quota] = {}
        self._resources: dict[str, str] = {}
        """By endpoint, the bucket that GitHub counted it in last; learnt, not assumed."""
        self._pacing = Pacing()
        self._hold: _Hold | None = None
        self._strikes = 0
        self._paced_until = 0.0

    def admit(self, call: Call, now: Moment) -> Ticket | Failed:
        """Lets a call through, or says until when not."""
        if (hold := self._held(now)) is not None:
            return self._local(hold.failure.kind, hold.failure.message, hold.until, now)
        resource = self._resources.get(call.endpoint, "graphql" if call.graphql else CORE)
        quota = self._quota(resource)
        if not quota.admits(call.priority, now.monotonic):
            quota.refused += 1
            left, ends = quota.left(now.monotonic), quota.ends or now.monotonic + 60
            message = f"{left} of {quota.limit} calls are left; they are kept for more urgent ones and the reserve"
            return self._local(FailureClass.RATE_LIMITED, message, ends, now)
        points = points_of(call.method, graphql=call.graphql)
        free = self._pacing.free_at(call.endpoint, points, call.creates_content, now.monotonic)
        if free > now.monotonic:
            quota.refused += 1
            self._paced_until = max(self._paced_until, free)
            message = f"GitHub's pace for {call.endpoint} is used up"
            return self._local(FailureClass.RATE_LIMITED, message, free, now)
        quota.send()
        self._pacing.spend(call.endpoint, points, call.creates_content, now.monotonic)
        return Ticket(endpoint=call.endpoint, resource=resource, monotonic=now.monotonic)

    def answered(
        self,
        ticket: Ticket,
        headers: Mapping[str, str],
        outcome: Got | Failed,
        now: Moment,
        *,
        counted: bool = True,
        final: bool = True,
    ) -> None:
        """An answer came. Keeps what it says of limits and pauses.

        Not `counted`: a 304. Not `final`: a 401 after which a new token is tried at once.
        """
        told = _told(headers, now)
        if told is None:
            self._quota(ticket.resource).unanswered(sent=counted)
        else:
            resource = headers.get("x-ratelimit-resource", ticket.resource)
            if resource != ticket.resource:
                self._quota(ticket.resource).unanswered(sent=False)
                self._quota(resource).send()
                self._resources[ticket.endpoint] = resource
            limit, remaining, ends = told
            self._quota(resource).answered(limit, remaining, ends, now.monotonic, counted=counted)
        if isinstance(outcome, Got):
            if self._hold is None or ticket.monotonic >= self._hold.until:
                self._hold, self._strikes = None, 0
        elif final:
            self._keep_away(ticket, headers, outcome, now, quota_told=told is not None)

    def unanswered(self, ticket: Ticket) -> None:
        """No answer came: the call may have been counted."""
        self._quota(ticket.resource).unanswered()

    def blocked(self, now: Moment) -> Failed | None:
        """What every call would get now; None when it depends on the call."""
        hold = self._held(now)
        return self._local(hold.failure.kind, hold.failure.message, hold.until, now) if hold else None

    def views(self, now: Moment) -> tuple[BudgetView, ...]:
        """One line for each bucket; at least one."""
        quotas = self._quotas or {CORE: Quota(self._percent)}
        return tuple(self._view(name, quota, now) for name, quota in sorted(quotas.items()))

    def restore(self, view: BudgetView, now: Moment) -> None:
        """Takes over what an earlier process knew, so that a restart breaks no pause (I12)."""
        if view.resets_at is not None and view.limit is not None and view.remaining is not None:
            ends = self._monotonic(view.resets_at, now)
            if ends > now.monotonic:
                self._quota(view.resource).restore(view.limit, view.remaining, ends, view.used)
        if view.held and view.until is not None:
            until = self._monotonic(view.until, now)
            # A longer pause that we were told of ourselves stays.
            if until > max(now.monotonic, self._hold.until if self._hold else 0.0):
                failure = Failed(kind=FailureClass.RATE_LIMITED, status=None, message=view.degraded or "a pause")
                self._hold = _Hold(failure=failure, until=until, sentence=view.degraded)

    def _keep_away(
        self, ticket: Ticket, headers: Mapping[str, str], failed: Failed, now: Moment, *, quota_told: bool
    ) -> None:
        known = self._hold
        refused = failed.kind is FailureClass.UNAUTHORISED
        if (refused or failed.guessed) and known is not None and ticket.monotonic < known.until:
            # Sent before we knew: many refusals of one burst are one.
            return
        if refused:
            pause = min(_REFUSED_FIRST * 2 ** min(self._strikes, 10), _REFUSED_LONGEST)
            self._strikes += 1
        elif failed.guessed and failed.until is not None:
            # "At least a minute, then exponential" (contract section 5).
            pause = min((failed.until - now.at) * 2 ** min(self._strikes, 10), _GUESSED_LONGEST)
            self._strikes += 1
        elif failed.until is not None and (
            "retry-after" in headers or not quota_told or failed.until - now.at <= self._shortest()
        ):
            # A short end that is named again and again is obeyed, and grown: no burst at each of them.
            named = failed.until - now.at
            pause = max(min(named, LONGEST_PAUSE), self._shortest())
            if named < SECONDARY_PAUSE and (known is None or ticket.monotonic >= known.until):
                self._strikes += 1
        else:
            # Of this call alone; or one bucket is spent, which its quota keeps.
            return
        until = now.monotonic + pause.total_seconds()
        if known is None or until > known.until:
            self._hold = _Hold(failure=failed, until=until)

    def _shortest(self) -> timedelta:
        """The least pause after a refusal that names its end; it grows up to what an unnamed one begins with."""
        return min(SHORTEST_PAUSE * 2 ** min(self._strikes, 10), SECONDARY_PAUSE)

    def _held(self, now: Moment) -> _Hold | None:
        hold = self._hold
        return hold if hold is not None and now.monotonic < hold.until else None

    def _quota(self, resource: str) -> Quota:
        return self._quotas.setdefault(resource, Quota(self._percent))

    def _local(self, kind: FailureClass, message: str, until: float, now: Moment) -> Failed:
        return Failed(kind=kind, status=None, message=message, until=self._day(until, now), local=True)

    def _view(self, resource: str, quota: Quota, now: Moment) -> BudgetView:
        left = quota.left(now.monotonic)
        hold = self._held(now)
        degraded, until = _degraded(quota, left, hold, now, self._paced_until)
        return BudgetView(
            account=self.account,
            resource=resource,
            owners=tuple(sorted(self.owners)),
            limit=quota.limit,
            remaining=left,
            reserve=quota.reserve,
            resets_at=None if quota.ends is None else self._day(quota.ends, now),
            used=quota.used,
            refused=quota.refused,
            degraded=degraded,
            until=None if until is None else self._day(until, now),
            held=hold is not None,
        )

    @staticmethod
    def _day(monotonic: float, now: Moment) -> datetime:
        return now.at + timedelta(seconds=monotonic - now.monotonic)

    @staticmethod
    def _monotonic(at: datetime, now: Moment) -> float:
        return now.monotonic + (at - now.at).total_seconds()


def _told(headers: Mapping[str, str], now: Moment) -> tuple[int, int, float] | None:
    """GitHub's word on a window: its limit, what remains, and its end (monotonic); None without one."""
    try:
        limit, remaining = int(headers["x-ratelimit-limit"]), int(headers["x-ratelimit-remaining"])
    except (KeyError, ValueError):
        return None
    resets = reset_time(headers, now.at)
    if resets is None or limit <= 0 or remaining < 0:
        return None
    return limit, remaining, now.monotonic + (resets - now.at).total_seconds()


def _degraded(
    quota: Quota, left: int | None, hold: _Hold | None, now: Moment, paced_until: float
) -> tuple[str | None, float | None]:
    """What waits and why, and until when (monotonic)."""
    if hold is not None:
        if hold.sentence is not None:
            return hold.sentence, hold.until
        what = {
            FailureClass.UNAUTHORISED: "GitHub does not accept the credential, so nothing is sent for a while",
            FailureClass.RATE_LIMITED: "GitHub asked for a pause, so nothing is sent",
        }.get(hold.failure.kind, "GitHub asked to be left alone for a while, so nothing is sent")
        return f"{what}: {hold.failure.message}", hold.until
    if left is not None:
        for priority, waits in (
            (Priority.ACT, "only the reserve, so nothing is sent"),
            (Priority.LOOKUP, "so only decided acts are sent"),
            (Priority.SWEEP, "so lists are not read"),
        ):
            if left <= quota.floor(priority):
                return f"{left} of {quota.limit} calls are left, {waits}.", quota.ends
    if paced_until > now.monotonic:
        return "Calls of one kind came as fast as GitHub allows; more of them wait.", paced_until
    return None, None
