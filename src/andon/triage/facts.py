"""What is known of a job besides its log, as plain data: the jobs API's object and fleet events.

Missing keys mean unknown (interfaces.md section 8); unknown keys are GitHub's business.
"""

import re
from datetime import datetime
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
_FIELD = re.compile(r"at `\$\.(\w+)")


class StepFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the jobs API."""

    name: str = ""
    status: str | None = None
    conclusion: str | None = None
    number: int | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """An annotation of the job's check run."""

    message: str | None = None
    annotation_level: str | None = None
    title: str | None = None


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The workflow run."""

    status: str | None = None
    conclusion: str | None = None
    head_sha: str | None = None
    head_branch: str | None = None
    event: str | None = None


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A job of the jobs API, with what interfaces.md section 8 adds to it. None: not known."""

    id: int | None = None
    name: str = ""
    status: str | None = None
    conclusion: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    created_at: datetime | None = None
    runner_name: str | None = None
    head_sha: str | None = None
    run_attempt: int | None = None
    steps: tuple[StepFacts, ...] | None = None
    annotations: tuple[Annotation, ...] | None = None
    log_status: int | None = None
    timeout_minutes: float | None = None
    run: RunFacts | None = None
    newer_runs: tuple[dict[str, Any], ...] | None = None


class FleetEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened on a host: see `events.py` for the kinds that are understood."""

    kind: str
    at: datetime | None = None
    host: str | None = None
    path: str | None = None
    detail: Any = None


def job_facts(value: object) -> JobFacts | None:
    """A job as it came; None where nothing of it can be read. A field that cannot be read is unknown."""
    return _lenient(cast("dict[str, Any]", value), JobFacts) if isinstance(value, dict) else None


def fleet_events(value: object) -> tuple[FleetEvent, ...]:
    """Events as they came, without those that cannot be read."""
    if not isinstance(value, list):
        return ()
    rows = [cast("dict[str, Any]", item) for item in cast("list[object]", value) if isinstance(item, dict)]
    found = (_lenient(row, FleetEvent) for row in rows)
    return tuple(event for event in found if event is not None)


def _lenient(value: dict[str, Any], kind: type[T]) -> T | None:
    known = {name: value[name] for name in kind.__struct_fields__ if name in value}
    for _ in range(len(known) + 1):
        try:
            return msgspec.convert(known, kind)
        except msgspec.ValidationError as error:
            name = _FIELD.search(str(error))
            if name is None or known.pop(name[1], None) is None:
                return None
    return None
