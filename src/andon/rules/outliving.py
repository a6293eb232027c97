"""Whether a process that outlives its completed job is ended, and its slot reclaimed (R29).

Three must agree: GitHub's job is over on this very runner, GitHub's list does not call the runner busy,
and the host still reports the process. The table is data, as that of claims in doubt: the first row that
holds decides, and what no row speaks of is left alone.
"""

from enum import StrEnum

import msgspec

from andon.rules.claim_doubt import JobFact, ProcessFact, RunnerFact


class OutlivingAct(StrEnum):
    LEAVE = "leave"
    """Nothing is touched; it is looked at again."""
    RECLAIM = "reclaim"
    """The registration goes first, when GitHub agrees; then the process is ended."""


class OutlivingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the facts it needs (None: any) and what follows."""

    job: frozenset[JobFact] | None = None
    runner: frozenset[RunnerFact] | None = None
    process: frozenset[ProcessFact] | None = None
    act: OutlivingAct
    reason: str


_A = OutlivingAct

OUTLIVING: tuple[OutlivingRow, ...] = (
    OutlivingRow(
        job=frozenset(set(JobFact) - {JobFact.DONE_HERE}),
        act=_A.LEAVE,
        reason="GitHub does not say that the job is over on this runner",
    ),
    OutlivingRow(
        runner=frozenset({RunnerFact.BUSY}),
        act=_A.LEAVE,
        reason="GitHub says the runner is busy: it may serve another job",
    ),
    OutlivingRow(
        runner=frozenset({RunnerFact.OUT_OF_REACH}), act=_A.LEAVE, reason="the place of the runner is out of reach"
    ),
    OutlivingRow(
        process=frozenset({ProcessFact.GONE, ProcessFact.UNKNOWN}),
        act=_A.LEAVE,
        reason="no host reports the process: there is nothing to end",
    ),
    OutlivingRow(act=_A.RECLAIM, reason="the job is over on this runner, and its process lives on"),
)


def judge_outliving(job: JobFact, runner: RunnerFact, process: ProcessFact) -> OutlivingRow:
    """The first row that holds; the last always does."""
    return next(
        row
        for row in OUTLIVING
        if (row.job is None or job in row.job)
        and (row.runner is None or runner in row.runner)
        and (row.process is None or process in row.process)
    )
