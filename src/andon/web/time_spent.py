"""Where a job's time went, from its row and its journal: held, waiting, starting, running.

Pure. GitHub counts in whole seconds and we in milliseconds, so its start cuts what we saw before.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from andon.model.job_states import JobStatus
from andon.model.journal import Line
from andon.model.nouns import Job

_AFTER = {
    "job.queued": "waiting",
    "job.waiting": "held",
    "job.pending": "held",
    "claim.reserved": "starting",
    "claim.orphaned": "doubt",
    "claim.registered": "starting",
    "claim.settled": "waiting",
    "claim.released": "waiting",
}
"""What begins with a journal line, while the job has not started."""

MEANING = {
    "held": "held back at GitHub",
    "waiting": "waiting for a slot",
    "starting": "starting a runner",
    "doubt": "runner in doubt",
    "running": "running",
}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a job's life."""

    kind: str
    """A key of MEANING."""
    start: datetime
    end: datetime
    open: bool = False
    """Whether it is still going on; then `end` is the time of looking."""

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


def time_spent(job: Job, story: Sequence[Line], now: datetime) -> tuple[Span, ...]:
    """The stretches in order, without gaps; empty when nothing is known but the job's name."""
    over = job.status is JobStatus.COMPLETED
    ran = job.started_at is not None and (job.status is JobStatus.IN_PROGRESS or (over and job.runner_name is not None))
    start = job.started_at if ran else None
    end = (job.completed_at or now) if over else now
    limit = min(start, end) if start is not None else end
    begin = job.queued_at or (story[0].at if story and not ran else job.created_at)
    turns: list[tuple[datetime, str]] = [(min(begin, limit), "waiting" if job.queued_at else "held")]
    for line in story:
        kind = _AFTER.get(line.entry.kind)
        if kind is None or line.at >= limit:
            continue
        if kind == "waiting" and line.entry.kind == "job.queued" and turns[-1][1] == "starting":
            continue
        turns.append((max(line.at, turns[-1][0]), kind))
    spans: list[Span] = []
    for (at, kind), (until, _) in zip(turns, [*turns[1:], (limit, "")], strict=True):
        if until <= at:
            continue
        if spans and spans[-1].kind == kind:
            spans[-1] = msgspec.structs.replace(spans[-1], end=until)
        else:
            spans.append(Span(kind=kind, start=at, end=until))
    if start is not None:
        spans.append(Span(kind="running", start=limit, end=max(end, limit)))
    if spans and not over:
        spans[-1] = msgspec.structs.replace(spans[-1], open=True)
    return tuple(spans)


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One span as a stretch of the picture."""

    kind: str
    x: float
    width: float


def bars(spans: Sequence[Span], *, width: float = 1000.0, least: float = 8.0) -> tuple[Bar, ...]:
    """The spans side by side over `width`; the shortest ones stay visible."""
    whole = sum(span.seconds for span in spans)
    if not spans:
        return ()
    raw = [max(least, width * span.seconds / whole) if whole > 0 else width / len(spans) for span in spans]
    scale = width / sum(raw)
    made: list[Bar] = []
    x = 0.0
    for span, each in zip(spans, raw, strict=True):
        made.append(Bar(kind=span.kind, x=round(x, 2), width=round(each * scale, 2)))
        x += each * scale
    return tuple(made)
