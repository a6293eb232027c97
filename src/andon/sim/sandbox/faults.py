"""The faults that are active now, and what they befall.

Deliveries, API calls, jobs and runners ask here at their moments; the kinds are in `fault_kinds`.
"""

from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from andon.sim.sandbox.fault_kinds import KINDS, FaultKind, Moment
from andon.sim.sandbox.records import Job, Runner
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.world import World


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a fault befalls; a key left out matches everything. Texts may hold `*` and `?`."""

    event: str | None = None
    action: str | None = None
    repository: str | None = None
    job: str | None = None
    """The job's name."""
    runner: str | None = None
    """The runner's name, for faults of runners and of jobs that have one."""
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
        self.struck: list[dict[str, object]] = []
        """What faults of jobs and runners befell, for the truth."""

    def add(self, spec: FaultSpec) -> Active:
        """Sets a fault; raises ApiError 422 with one sentence for one that makes no sense."""
        try:
            kind = FaultKind(spec.kind)
        except ValueError:
            known = ", ".join(FaultKind)
            raise ApiError(422, f'"kind" is {spec.kind!r}. Name one of: {known}.') from None
        _check(kind, spec)
        match = spec.match
        if match.endpoint is None and KINDS[kind].endpoint is not None:
            match = msgspec.structs.replace(match, endpoint=KINDS[kind].endpoint)
        made = Active(
            id=self._world.new_id("fault"),
            kind=kind,
            match=match,
            count=spec.count,
            seconds=KINDS[kind].default_seconds if spec.seconds is None else spec.seconds,
            status=spec.status,
            set_at=self._world.now(),
        )
        self.active.append(made)
        return made

    def end(self, number: int) -> None:
        """Takes one fault away; does nothing when it is used up."""
        self.active = [fault for fault in self.active if fault.id != number]

    def clear(self) -> int:
        """Takes all faults away; says how many there were. What already struck goes on."""
        count = len(self.active)
        self.active.clear()
        return count

    def for_delivery(self, *, event: str, action: str | None, repository: str | None, job: str | None) -> list[Active]:
        """What befalls this delivery, counted as applied."""
        if not self.active:
            return []
        facts = {"event": event, "action": action, "repository": repository, "job": job}
        return self._roll(Moment.DELIVERY_MADE, facts, ())

    def for_call(self, *, method: str, template: str, path: str, repository: str | None) -> list[Active]:
        """What befalls this API call, counted as applied."""
        if not self.active:
            return []
        names = (f"{method} {template}", template, f"{method} {path}", path)
        return self._roll(Moment.CALL_MADE, {"repository": repository}, names)

    def for_job(self, moment: Moment, job: Job, runner: Runner | None = None) -> dict[FaultKind, Active]:
        """What befalls this job at this moment, counted as applied, by kind."""
        if not self.active:
            return {}
        facts = {
            "repository": job.run.repository.full_name,
            "job": job.name,
            "event": job.run.event,
            "runner": runner.name if runner else None,
        }
        found = {fault.kind: fault for fault in self._roll(moment, facts, ())}
        self._note(found, job=job.id, runner=runner.name if runner else None)
        return found

    def for_runner(self, moment: Moment, runner: Runner) -> dict[FaultKind, Active]:
        """What befalls this runner at this moment, counted as applied, by kind."""
        if not self.active:
            return {}
        facts = {"repository": runner.scope if "/" in runner.scope else None, "runner": runner.name}
        found = {fault.kind: fault for fault in self._roll(moment, facts, ())}
        self._note(found, job=None, runner=runner.name)
        return found

    def seconds(self, fault: Active) -> float | None:
        """The fault's time; where none was given and the kind has a range, chance picks one."""
        between = KINDS[fault.kind].random_seconds
        if fault.seconds is not None or between is None:
            return fault.seconds
        return between[0] + self._world.chance.random() * (between[1] - between[0])

    def _note(self, found: Mapping[FaultKind, Active], *, job: int | None, runner: str | None) -> None:
        self.struck.extend(
            {"at": self._world.now().isoformat(), "kind": kind.value, "job": job, "runner": runner} for kind in found
        )

    def _roll(self, moment: Moment, facts: Mapping[str, str | None], endpoints: tuple[str, ...]) -> list[Active]:
        out: list[Active] = []
        for fault in list(self.active):
            if KINDS[fault.kind].moment is not moment or not _matches(fault.match, facts, endpoints):
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
                    "moment": facts.moment,
                    "explanation": facts.explanation,
                    "default_seconds": facts.default_seconds,
                }
                for kind, facts in KINDS.items()
            ],
            "active": [msgspec.to_builtins(fault) for fault in self.active],
        }


def _check(kind: FaultKind, spec: FaultSpec) -> None:
    if spec.count is not None and spec.count < 1:
        raise ApiError(422, f'"count" is {spec.count}. Give 1 or more, or null for ever.')
    if spec.seconds is not None and spec.seconds < 0:
        raise ApiError(422, f'"seconds" is {spec.seconds}. Give 0 or more.')
    if not 0 <= spec.match.probability <= 1:
        raise ApiError(422, f'"probability" in "match" is {spec.match.probability}. Give a number from 0 to 1.')
    if spec.status is not None and not 400 <= spec.status <= 599:
        raise ApiError(422, f'"status" is {spec.status}. Give an HTTP status from 400 to 599.')
    befalls = KINDS[kind].befalls
    if befalls != "call" and spec.match.endpoint is not None:
        raise ApiError(422, f'"{kind}" befalls a {befalls}; "endpoint" is for API faults. Leave it out.')
    if spec.status is not None and befalls != "call" and kind is not FaultKind.ASSIGNMENT_LOST:
        raise ApiError(422, f'"{kind}" befalls a {befalls}; "status" is for API faults. Leave it out.')
    if kind is FaultKind.ASSIGNMENT_LOST and spec.status not in (None, 404, 409):
        raise ApiError(422, f'"status" is {spec.status}. A lost assignment is answered with 404 or 409.')


def _matches(match: Match, facts: Mapping[str, str | None], endpoints: tuple[str, ...]) -> bool:
    for wanted, found in (
        (match.event, facts.get("event")),
        (match.action, facts.get("action")),
        (match.repository, facts.get("repository")),
        (match.job, facts.get("job")),
        (match.runner, facts.get("runner")),
    ):
        if wanted is not None and (found is None or not fnmatchcase(found.lower(), wanted.lower())):
            return False
    if match.endpoint is None:
        return True
    return any(
        name == match.endpoint or name.endswith(match.endpoint) or fnmatchcase(name, match.endpoint)
        for name in endpoints
    )
