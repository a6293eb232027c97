"""Rate limits, kept as GitHub keeps them: budgets an hour, secondary limits, and who does not wait.

A budget belongs to a caller and a resource; its hour starts with the first call. What breaks the
rules (a call with nothing left, a call before Retry-After ran out) is noted for the truth.
"""

import math
from collections import deque
from datetime import datetime, timedelta
from typing import Any

import msgspec

from andon.sim.sandbox.callers import Caller
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.repository_json import fine_stamp
from andon.sim.sandbox.world import World

_SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
_WINDOW_S = 3600
_SECONDARY_WAIT_S = 60.0


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of one caller or of all (github-contract.md section 5)."""

    core: int = 5000
    graphql: int = 5000
    actions_runner_registration: int = 10_000
    jit_resource: str = "core"
    """Which budget minting a runner uses; others saw `actions_runner_registration`."""
    secondary: bool = False
    """Whether the limits below are enforced."""
    points_per_minute: int = 900
    """Per endpoint: a GET is 1, anything else 5."""
    content_per_minute: int = 80
    content_per_hour: int = 500
    concurrent: int = 100

    def of(self, resource: str) -> int:
        """Calls an hour."""
        if resource == "graphql":
            return self.graphql
        return self.actions_runner_registration if resource == "actions_runner_registration" else self.core


class Window(msgspec.Struct, kw_only=True, eq=False):
    """One hour of one budget."""

    ends: datetime
    used: int = 0


class _Block(msgspec.Struct, frozen=True, kw_only=True):
    """A wait that a caller was asked for."""

    since: datetime
    until: datetime
    status: int
    message: str
    enforced: bool
    """Whether calls before its end are refused too, not only noted."""


class RateLimits:
    """Looks at every call before it is carried out."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.limits = Limits()
        self.own: dict[str, Limits] = {}
        """By caller; the others have `limits`."""
        self._windows: dict[tuple[str, str], Window] = {}
        self._blocks: dict[tuple[str, str], _Block] = {}
        """By caller and endpoint; `*` for all endpoints."""
        self._points: dict[tuple[str, str], deque[tuple[datetime, int]]] = {}
        self._in_flight: dict[str, int] = {}
        self.too_early: list[dict[str, Any]] = []
        self.overdrawn: list[dict[str, Any]] = []

    def limits_of(self, caller: Caller) -> Limits:
        """The limits that hold for this caller."""
        return self.own.get(caller.key, self.limits)

    def resource_of(self, caller: Caller, resource: str) -> str:
        """The budget that a call uses; minting has its own by configuration."""
        return self.limits_of(caller).jit_resource if resource == "jit" else resource

    def check(self, caller: Caller, resource: str, endpoint: str, *, creates_content: bool) -> None:
        """Raises ApiError 403 or 429 for a call that a limit refuses; notes calls that had to wait."""
        self._check_waits(caller, endpoint)
        limits = self.limits_of(caller)
        window = self.window(caller, resource)
        if window.used >= limits.of(resource):
            self.overdrawn.append(self._note(caller, endpoint))
            raise ApiError(403, f"API rate limit exceeded for {caller.key}.")
        if limits.secondary:
            self._check_secondary(caller, endpoint, limits, creates_content=creates_content)

    def _check_waits(self, caller: Caller, endpoint: str) -> None:
        now = self._world.now()
        for place in ("*", endpoint):
            block = self._blocks.get((caller.key, place))
            if block is None or block.until <= now:
                continue
            early = (block.until - now).total_seconds()
            self.too_early.append(
                {
                    **self._note(caller, endpoint),
                    "after_status": block.status,
                    "seconds_after_refusal": (now - block.since).total_seconds(),
                    "seconds_early": early,
                }
            )
            if block.enforced:
                raise ApiError(block.status, block.message, headers={"Retry-After": str(math.ceil(early))})

    def _check_secondary(self, caller: Caller, endpoint: str, limits: Limits, *, creates_content: bool) -> None:
        points = 1 if endpoint.startswith("GET ") else 5
        broken = (
            self._in_flight.get(caller.key, 0) >= limits.concurrent
            or self._sum(caller, endpoint, 60) + points > limits.points_per_minute
            or (creates_content and self._sum(caller, "content", 60) >= limits.content_per_minute)
            or (creates_content and self._sum(caller, "content", 3600) >= limits.content_per_hour)
        )
        if broken:
            self.refuse(caller, 403, _SECONDARY, _SECONDARY_WAIT_S)
        now = self._world.now()
        self._points.setdefault((caller.key, endpoint), deque()).append((now, points))
        if creates_content:
            self._points.setdefault((caller.key, "content"), deque()).append((now, 1))

    def _sum(self, caller: Caller, what: str, seconds: float) -> int:
        kept = self._points.get((caller.key, what))
        if kept is None:
            return 0
        now = self._world.now()
        while kept and now - kept[0][0] > timedelta(seconds=_WINDOW_S):
            kept.popleft()
        return sum(points for at, points in kept if now - at < timedelta(seconds=seconds))

    def refuse(self, caller: Caller, status: int, message: str, seconds: float) -> None:
        """Refuses this call and all of the caller's until `seconds` are over: raises ApiError."""
        now = self._world.now()
        until = now + timedelta(seconds=math.ceil(seconds))
        self._blocks[(caller.key, "*")] = _Block(since=now, until=until, status=status, message=message, enforced=True)
        raise ApiError(status, message, headers={"Retry-After": str(math.ceil(seconds))})

    def refuse_secondary(self, caller: Caller, status: int, seconds: float) -> None:
        """As `refuse`, in the words of a secondary limit."""
        self.refuse(caller, status, _SECONDARY, seconds)

    def asked_to_wait(self, caller: Caller, endpoint: str, status: int, seconds: float) -> None:
        """An answer carries Retry-After: whoever calls before that is noted, not refused."""
        now = self._world.now()
        place = "*" if status in (403, 429) else endpoint
        self._blocks[(caller.key, place)] = _Block(
            since=now, until=now + timedelta(seconds=int(seconds)), status=status, message="", enforced=False
        )

    def begin(self, caller: Caller) -> None:
        """A call is under way."""
        self._in_flight[caller.key] = self._in_flight.get(caller.key, 0) + 1

    def end(self, caller: Caller) -> None:
        """It is answered."""
        self._in_flight[caller.key] -= 1

    def window(self, caller: Caller, resource: str) -> Window:
        """The hour that runs for this budget; a new one when the last is over."""
        now = self._world.now()
        found = self._windows.get((caller.key, resource))
        if found is None or found.ends <= now:
            found = Window(ends=now + timedelta(seconds=_WINDOW_S))
            self._windows[(caller.key, resource)] = found
        return found

    def headers(self, caller: Caller, resource: str) -> dict[str, str]:
        """The headers that tell of a budget."""
        shown = self.show(caller, resource)
        return {
            "X-RateLimit-Limit": str(shown["limit"]),
            "X-RateLimit-Remaining": str(shown["remaining"]),
            "X-RateLimit-Used": str(shown["used"]),
            "X-RateLimit-Reset": str(shown["reset"]),
            "X-RateLimit-Resource": resource,
        }

    def show(self, caller: Caller, resource: str) -> dict[str, int]:
        """A budget as `GET /rate_limit` shows it."""
        window = self.window(caller, resource)
        limit = self.limits_of(caller).of(resource)
        return {
            "limit": limit,
            "used": window.used,
            "remaining": max(0, limit - window.used),
            "reset": math.ceil(window.ends.timestamp()),
        }

    def truth(self) -> dict[str, Any]:
        """Budgets as they stand, and every call that broke the rules."""
        return {
            "budgets": [
                {"caller": caller, "resource": resource, "used": window.used, "ends": fine_stamp(window.ends)}
                for (caller, resource), window in self._windows.items()
            ],
            "calls_too_early": list(self.too_early),
            "calls_over_limit": list(self.overdrawn),
        }

    def _note(self, caller: Caller, endpoint: str) -> dict[str, Any]:
        return {"at": fine_stamp(self._world.now()), "caller": caller.key, "endpoint": endpoint}
