"""The tables of rescue as a page of the docs: generated, so that page and rule cannot drift apart."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

from andon.model.slot_rests import RESTS
from andon.rules.claim_doubt import EVIDENCE, LOOKS, LOOKS_APART, DoubtAct, JobFact, ProcessFact, RunnerFact
from andon.rules.limits import AFTER_THE_JOB
from andon.rules.outliving import OUTLIVING, OutlivingAct

_Fact = TypeVar("_Fact", bound=StrEnum)

_JOB = {
    JobFact.HERE: "in progress on this runner",
    JobFact.DONE_HERE: "completed by this runner",
    JobFact.ELSEWHERE: "in progress or completed elsewhere",
    JobFact.QUEUED: "queued",
    JobFact.WAITING: "behind a gate or a concurrency group",
    JobFact.ABSENT: "unknown to GitHub",
}
_RUNNER = {
    RunnerFact.BUSY: "busy",
    RunnerFact.IDLE: "online, idle",
    RunnerFact.OFFLINE: "offline",
    RunnerFact.ABSENT: "not listed",
    RunnerFact.OUT_OF_REACH: "out of reach",
}
_PROCESS = {
    ProcessFact.GONE: "its end was reported",
    ProcessFact.ALIVE: "alive",
    ProcessFact.UNKNOWN: "not reported",
}
_THEN = {
    DoubtAct.BIND: "busy: the job is its own",
    DoubtAct.SETTLE: "settled",
    DoubtAct.WAIT: "nothing; looked at again",
    DoubtAct.KEEP: "registered: it may go on waiting",
    DoubtAct.REMOVE: "registration removed; released once GitHub agreed",
    DoubtAct.LET_GO: "released; the registration is removed later",
    OutlivingAct.LEAVE: "nothing; looked at again",
    OutlivingAct.RECLAIM: "registration removed, process ended, slot free",
}


def rescue_page() -> str:
    """The whole page."""
    return f"""# Rescue

Made from the tables in `src/andon/rules/` and `src/andon/model/`; do not edit this page, run `make docs`.

## A claim in doubt

A claim comes into doubt when a deadline passes, its process ends before GitHub named a job, or its demand
goes away. Then GitHub is asked about its job and its runner. The first row that holds decides, and every
combination of facts has one. A question that GitHub does not answer is no row: nothing changes, and it is asked
again. A place is out of reach when {LOOKS} looks, {_minutes(LOOKS_APART.total_seconds())} apart, found it missing,
forbidden or without a token.

{_table([(row.job, row.runner, row.process, row.act, row.reason) for row in EVIDENCE])}

## A process that outlives its job

GitHub says that the job is over, and {_minutes(AFTER_THE_JOB.total_seconds())} later its runner's process is still
there. GitHub is asked once more, and the first row that holds decides.

{_table([(row.job, row.runner, row.process, row.act, row.reason) for row in OUTLIVING])}

## A slot that rests

A runner that ends before it served, or never comes up while its job waits, is a failed start of its slot. After
so many in a row the slot gets no claim for a while. A runner that serves a job makes them forgotten. A slot is
tried again at once after `andon host uncordon`, and after a new start of its agent.

Dispatch goes by it before that: a job that was given up goes to another host, or another slot, while one is free.
A slot whose last start failed comes after the others, and so do all slots of a host of which two fail. Nothing is
kept from a job by that: where no other place is free, it goes back.

| failed starts in a row | rest |
|---|---|
{_rests()}
"""


def _table(
    rows: Sequence[
        tuple[
            frozenset[JobFact] | None,
            frozenset[RunnerFact] | None,
            frozenset[ProcessFact] | None,
            DoubtAct | OutlivingAct,
            str,
        ]
    ],
) -> str:
    lines = ["| the job is | the runner is | its process is | then | because |", "|---|---|---|---|---|"]
    for job, runner, process, act, reason in rows:
        facts = (_words(job, _JOB), _words(runner, _RUNNER), _words(process, _PROCESS))
        lines.append(f"| {' | '.join((*facts, _THEN[act], reason))} |")
    return "\n".join(lines)


def _words(facts: frozenset[_Fact] | None, words: dict[_Fact, str]) -> str:
    """In the order of the facts; anything but few is said as what it is not."""
    if facts is None:
        return "any"
    left = [words[fact] for fact in words if fact not in facts]
    return f"not {left[0]}" if len(left) == 1 else "; ".join(words[fact] for fact in words if fact in facts)


def _rests() -> str:
    rows: list[str] = []
    for number, rest in enumerate(RESTS, start=1):
        more = " and more" if number == len(RESTS) else ""
        seconds = rest.total_seconds()
        rows.append(f"| {number}{more} | {_minutes(seconds) if seconds else 'none: one may be chance'} |")
    return "\n".join(rows)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
