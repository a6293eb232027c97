"""What becomes of a claim in doubt, once GitHub has been asked about its job and its runner.

The evidence table is data: the first row whose facts all hold decides. Nothing is given up on
absence alone, and while GitHub says `in_progress` nothing is touched (R28, R30). A question that
GitHub did not answer is no row of this table: then nothing changes and it is asked again. Only a place
that is out of reach on several looks, minutes apart, is a fact (`RunnerFact.OUT_OF_REACH`).
"""

from datetime import timedelta
from enum import StrEnum

import msgspec


class JobFact(StrEnum):
    """What GitHub says of the claim's job."""

    HERE = "here"
    """In progress on the claim's runner."""
    DONE_HERE = "done_here"
    """Completed, by the claim's runner."""
    ELSEWHERE = "elsewhere"
    """In progress or completed, on another runner or on none."""
    QUEUED = "queued"
    WAITING = "waiting"
    """Behind a gate or a concurrency group: no demand now."""
    ABSENT = "absent"
    """GitHub does not know the job (404)."""


class RunnerFact(StrEnum):
    """What GitHub says of the claim's runner, looked up by name."""

    BUSY = "busy"
    IDLE = "idle"
    OFFLINE = "offline"
    ABSENT = "absent"
    """Not in the list: a whole list was read, and the name is not in it."""
    OUT_OF_REACH = "out_of_reach"
    """The repository or organisation itself is not ours to ask, on `LOOKS` looks, `LOOKS_APART` apart: it is
    not there (404), gives no credential, or does not let us list or remove runners (403)."""


LOOKS = 3
LOOKS_APART = timedelta(minutes=5)
"""One 404 may be a passing fault, and a credential may be changed just now; three in ten minutes are neither."""


class ProcessFact(StrEnum):
    """What the agent says of the claim's runner process."""

    GONE = "gone"
    """Its end was reported."""
    ALIVE = "alive"
    UNKNOWN = "unknown"
    """Never reported, or the host is silent."""


class DoubtAct(StrEnum):
    BIND = "bind"
    """The runner has the job: busy."""
    SETTLE = "settle"
    """The runner had the job and is gone."""
    WAIT = "wait"
    """Leave everything; look again later."""
    KEEP = "keep"
    """The runner may go on waiting for its job."""
    REMOVE = "remove"
    """Delete the registration; only when GitHub agrees (not busy) is the claim given up."""
    LET_GO = "let_go"
    """Give the claim up without GitHub's word; the registration is removed when it can be asked again."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the facts it needs (None: any) and what follows."""

    job: frozenset[JobFact] | None
    runner: frozenset[RunnerFact] | None
    process: frozenset[ProcessFact] | None
    act: DoubtAct
    reason: str


def _row(
    job: set[JobFact] | None,
    runner: set[RunnerFact] | None,
    process: set[ProcessFact] | None,
    act: DoubtAct,
    reason: str,
) -> Row:
    return Row(
        job=frozenset(job) if job else None,
        runner=frozenset(runner) if runner else None,
        process=frozenset(process) if process else None,
        act=act,
        reason=reason,
    )


_J, _R, _P, _A = JobFact, RunnerFact, ProcessFact, DoubtAct

EVIDENCE: tuple[Row, ...] = (
    _row({_J.DONE_HERE}, None, {_P.GONE}, _A.SETTLE, "the job completed on this runner, whose process is gone"),
    _row({_J.DONE_HERE, _J.HERE}, None, None, _A.BIND, "GitHub has the job on this runner"),
    _row(None, {_R.BUSY}, None, _A.WAIT, "GitHub says the runner is busy: it may serve another job"),
    # A runner is one process, with a config for one start: after its known end nothing can serve through it.
    _row(None, {_R.OUT_OF_REACH}, {_P.GONE}, _A.LET_GO, "the process's end is known, and its place is out of reach"),
    _row(None, {_R.OUT_OF_REACH}, None, _A.WAIT, "the place is out of reach, and a process may live"),
    # New runners may come late into the list, so absence is no evidence: the deletion by id answers.
    _row(None, {_R.ABSENT}, None, _A.REMOVE, "GitHub does not list the runner"),
    _row(None, {_R.IDLE, _R.OFFLINE}, {_P.GONE}, _A.REMOVE, "the process is gone and the runner serves nothing"),
    _row({_J.QUEUED}, {_R.IDLE}, None, _A.KEEP, "job queued, runner online: GitHub has yet to assign it"),
    _row(None, {_R.IDLE}, None, _A.REMOVE, "the demand is gone and the runner is idle"),
    _row(None, {_R.OFFLINE}, None, _A.REMOVE, "the runner never came up, or went away"),
)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to do about the claim, and the row's reason."""

    act: DoubtAct
    reason: str


def judge(job: JobFact, runner: RunnerFact, process: ProcessFact) -> Verdict:
    """The first row that holds. Every combination has one (a test counts them)."""
    for row in EVIDENCE:
        if (
            (row.job is None or job in row.job)
            and (row.runner is None or runner in row.runner)
            and (row.process is None or process in row.process)
        ):
            return Verdict(act=row.act, reason=row.reason)
    return Verdict(act=DoubtAct.WAIT, reason="no row of the evidence table holds")
