"""What can go wrong on purpose: a table of kinds, and the faults that are active now.

Deliveries and API calls ask here what befalls them. A new kind is a line of the table and a few
lines at the place that it befalls.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.world import World

Befalls = Literal["delivery", "call"]


class FaultKind(StrEnum):
    DELIVERY_LOST = "delivery_lost"
    DELIVERY_NEVER_CREATED = "delivery_never_created"
    DELIVERY_DOUBLED = "delivery_doubled"
    DELIVERY_DELAYED = "delivery_delayed"
    DELIVERY_REORDERED = "delivery_reordered"
    API_ERROR = "api_error"
    API_SLOW = "api_slow"
    API_REPLY_LOST = "api_reply_lost"


class KindFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind does, to what, and what `seconds` means for it."""

    befalls: Befalls
    explanation: str
    default_seconds: float | None = None


KINDS: Mapping[FaultKind, KindFacts] = {
    FaultKind.DELIVERY_LOST: KindFacts(
        befalls="delivery",
        explanation="The delivery never arrives; the delivery log shows it as failed, so it can be redelivered.",
    ),
    FaultKind.DELIVERY_NEVER_CREATED: KindFacts(
        befalls="delivery",
        explanation="GitHub never makes the delivery: it is in no log; only a sweep of runs and jobs finds it out.",
    ),
    FaultKind.DELIVERY_DOUBLED: KindFacts(
        befalls="delivery",
        explanation="The delivery is sent twice with the same GUID, the second time `seconds` later.",
        default_seconds=0.0,
    ),
    FaultKind.DELIVERY_DELAYED: KindFacts(
        befalls="delivery",
        explanation="The delivery is sent `seconds` late.",
        default_seconds=30.0,
    ),
    FaultKind.DELIVERY_REORDERED: KindFacts(
        befalls="delivery",
        explanation="The delivery is held back until one to three later ones of its hook were sent, at most `seconds`.",
        default_seconds=5.0,
    ),
    FaultKind.API_ERROR: KindFacts(
        befalls="call",
        explanation="The call is not carried out but answered with `status` (502); `seconds` becomes Retry-After.",
    ),
    FaultKind.API_SLOW: KindFacts(
        befalls="call",
        explanation="The call is carried out after `seconds`.",
        default_seconds=5.0,
    ),
    FaultKind.API_REPLY_LOST: KindFacts(
        befalls="call",
        explanation="The call is carried out; after `seconds` a 504 (or `status`) comes instead of its answer.",
        default_seconds=0.0,
    ),
}


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a fault befalls; a key left out matches everything. Texts may hold `*` and `?`."""

    event: str | None = None
    action: str | None = None
    repository: str | None = None
    job: str | None = None
    """The job's name."""
    endpoint: str | None = None
    """`POST /repos/{owner}/{repo}/actions/runners/generate-jitconfig`, its end, or a real path's."""
    probability: float = 1.0


class FaultSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /_sandbox/faults` takes. `count` null: until cleared."""

    kind: str
    match: Match = Match()
    count: int | None = None
    seconds: float | None = None
    status: int | None = None


class Active(msgspec.Struct, kw_only=True, eq=False):
    """A fault that is set; `applied` counts how often it befell something."""

    id: int
    kind: FaultKind
    match: Match
    count: int | None
    seconds: float | None
    status: int | None
    set_at: datetime
    applied: int = 0


class Faults:
    """The active faults. Each one that matches is rolled for on its own; several may befall one thing."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.active: list[Active] = []

    def add(self, spec: FaultSpec) -> Active:
        """Sets a fault; raises ApiError 422 with one sentence for one that makes no sense."""
        try:
            kind = FaultKind(spec.kind)
        except ValueError:
            known = ", ".join(FaultKind)
            raise ApiError(422, f'"kind" is {spec.kind!r}. Name one of: {known}.') from None
        if spec.count is not None and spec.count < 1:
            raise ApiError(422, f'"count" is {spec.count}. Give 1 or more, or null for ever.')
        if spec.seconds is not None and spec.seconds < 0:
            raise ApiError(422, f'"seconds" is {spec.seconds}. Give 0 or more.')
        if not 0 <= spec.match.probability <= 1:
            raise ApiError(422, f'"probability" in "match" is {spec.match.probability}. Give a number from 0 to 1.')
        if spec.status is not None and not 400 <= spec.status <= 599:
            raise ApiError(422, f'"status" is {spec.status}. Give an HTTP status from 400 to 599.')
        if KINDS[kind].befalls == "delivery" and (spec.match.endpoint is not None or spec.status is not None):
            raise ApiError(
                422, f'"{kind}" befalls deliveries; "endpoint" and "status" are for API faults. Leave them out.'
            )
        made = Active(
            id=self._world.new_id("fault"),
            kind=kind,
            match=spec.match,
            count=spec.count,
            seconds=KINDS[kind].default_seconds if spec.seconds is None else spec.seconds,
            status=spec.status,
            set_at=self._world.now(),
        )
        self.active.append(made)
        return made

    def clear(self) -> int:
        """Takes all faults away; says how many there were."""
        count = len(self.active)
        self.active.clear()
        return count

    def for_delivery(self, *, event: str, action: str | None, repository: str | None, job: str | None) -> list[Active]:
        """What befalls this delivery, counted as applied."""
        if not self.active:
            return []
        facts = {"event": event, "action": action, "repository": repository, "job": job}
        return self._roll("delivery", facts, ())

    def for_call(self, *, method: str, template: str, path: str, repository: str | None) -> list[Active]:
        """What befalls this API call, counted as applied."""
        if not self.active:
            return []
        names = (f"{method} {template}", template, f"{method} {path}", path)
        return self._roll("call", {"repository": repository}, names)

    def _roll(self, befalls: Befalls, facts: Mapping[str, str | None], endpoints: tuple[str, ...]) -> list[Active]:
        out: list[Active] = []
        for fault in list(self.active):
            if KINDS[fault.kind].befalls != befalls or not _matches(fault.match, facts, endpoints):
                continue
            if fault.match.probability < 1 and self._world.chance.random() >= fault.match.probability:
                continue
            fault.applied += 1
            if fault.count is not None and fault.applied >= fault.count:
                self.active.remove(fault)
            out.append(fault)
        return out

    def show(self) -> dict[str, Any]:
        """The kinds with their explanations, and the active faults."""
        return {
            "kinds": [
                {
                    "kind": kind,
                    "befalls": facts.befalls,
                    "explanation": facts.explanation,
                    "default_seconds": facts.default_seconds,
                }
                for kind, facts in KINDS.items()
            ],
            "active": [msgspec.to_builtins(fault) for fault in self.active],
        }


def _matches(match: Match, facts: Mapping[str, str | None], endpoints: tuple[str, ...]) -> bool:
    for wanted, found in (
        (match.event, facts.get("event")),
        (match.action, facts.get("action")),
        (match.repository, facts.get("repository")),
        (match.job, facts.get("job")),
    ):
        if wanted is not None and (found is None or not fnmatchcase(found.lower(), wanted.lower())):
            return False
    if match.endpoint is None:
        return True
    return any(
        name == match.endpoint or name.endswith(match.endpoint) or fnmatchcase(name, match.endpoint)
        for name in endpoints
    )
