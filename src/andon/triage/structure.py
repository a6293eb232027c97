"""What the jobs API alone says, before a line of the log is read (triage-facts.md section 2.1, first step).

`settled` findings stand whatever the log holds; the others are taken only where the log has no better answer.
"""

import msgspec

from andon.triage.facts import JobFacts
from andon.triage.scan import Scanned

HUNG_LEAST_S = 600.0
HUNG_SHARE = 0.3
_FAILED = frozenset({"failure", "timed_out", "cancelled", "startup_failure"})


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A kind with the sentence that says why."""

    kind: str
    why: str
    settled: bool
    likely: bool = True


def settle(job: JobFacts, scanned: Scanned | None) -> Finding | None:
    """What is certain by structure: superseded, and a job that reached its limit."""
    if job.conclusion == "cancelled" and job.newer_runs:
        return Finding(kind="superseded", why="a newer run of the same group had started", settled=True)
    if job.conclusion in _FAILED and (kind := _limit_reached(job, scanned)):
        why = f"the job ended at its limit of {job.timeout_minutes:g} minutes"
        return Finding(kind=kind, why=why, settled=True)
    return None


def fall_back(job: JobFacts) -> Finding | None:
    """What structure suggests where the log says nothing: cancelled by somebody, runner lost, no runner at all."""
    if job.conclusion == "cancelled":
        known = job.newer_runs is not None
        return Finding(
            kind="manual", why="the job was cancelled, and no newer run is known", settled=False, likely=known
        )
    if job.conclusion not in ("failure", "timed_out") or job.steps is None:
        return None
    failed = [step for step in job.steps if step.conclusion in ("failure", "timed_out")]
    if not job.steps or (failed and len(job.steps) == 1 and _sets_up(failed[0].name)):
        return Finding(
            kind="runner-setup", why="the job ended before its first step", settled=False, likely=bool(failed)
        )
    if not failed:
        missing = job.log_status in (404, 410)
        why = "the job failed without a failed step" + (", and its log is missing" if missing else "")
        return Finding(kind="runner-lost", why=why, settled=False)
    if _sets_up(failed[0].name):
        return Finding(kind="runner-setup", why=f'step "{failed[0].name}" failed', settled=False, likely=False)
    return None


def slow_or_hung(quiet_s: float | None, limit_minutes: float | None) -> str:
    """`hung` when nothing was printed for long before the end; also where that is not known."""
    if quiet_s is None:
        return "hung"
    return "hung" if quiet_s >= max(HUNG_LEAST_S, HUNG_SHARE * 60 * (limit_minutes or 0)) else "slow"


def _limit_reached(job: JobFacts, scanned: Scanned | None) -> str | None:
    if job.timeout_minutes is None or job.started_at is None or job.completed_at is None:
        return None
    took = (job.completed_at - job.started_at).total_seconds() / 60
    if not job.timeout_minutes - 0.5 <= took <= job.timeout_minutes + 6:
        return None
    if any(step.conclusion == "failure" for step in job.steps or ()):
        # A step that failed by itself at the last moment is its own affair.
        return None
    quiet = next((step.quiet_s for step in reversed(scanned.steps) if step.errors), None) if scanned else None
    return slow_or_hung(quiet, job.timeout_minutes)


def _sets_up(name: str) -> bool:
    return name.lower() in ("set up job", "set up runner", "initialize containers")
