"""How claims in doubt are asked about: how many at a time, in which steps, and which question answers most (R10).

Suspects fall due in steps of `TICK_S`, so that those of one step share their questions. In one step at most
`MOST` are looked at, the longest due first; the others come first in the next, so none is starved.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from andon.model.job_states import JobStatus
from andon.model.nouns import Claim

TICK_S = 5.0
"""Seconds of one step."""
MOST = 100
"""Suspects of one step: as many as GitHub takes in one query (contract section 4b)."""
FIRST_S = 10.0
LONGEST_S = 60.0
"""One look a suspect and minute, when nothing changes (limits.md 3)."""
FRESH_S = 10.0
"""An answer older than this judges nothing: then GitHub is asked again."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WAITS = frozenset({JobStatus.QUEUED, JobStatus.WAITING, JobStatus.PENDING})
"""States in which a job has no runner, so that GraphQL's word, which knows no runner, is enough."""

RunKey = tuple[str, int, int]
"""Repository, run and attempt: one list of jobs."""


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """A claim in doubt that is due, with what we believe of its job."""

    claim: Claim
    run: RunKey | None
    """None: there is no job, or we know nothing of it."""
    status: JobStatus | None


class Questions(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked; each suspect with a job is in exactly one of them."""

    states: Mapping[str, tuple[Suspect, ...]]
    """By owner, those whose job's state alone is asked for, many in one query."""
    lists: Mapping[RunKey, tuple[Suspect, ...]]
    """Those whose run's jobs are listed, by run."""
    single: tuple[Suspect, ...]
    """Those whose job is asked for by itself."""


def tick(at: datetime) -> int:
    """Which step a moment belongs to."""
    return int((at - _EPOCH).total_seconds() // TICK_S)


def next_tick(at: datetime) -> datetime:
    """When the step after this one begins."""
    return _EPOCH + timedelta(seconds=(tick(at) + 1) * TICK_S)


def next_look(at: datetime, tries: int) -> datetime:
    """When a suspect is looked at again that stays one, after so many looks: later and later, in step with others."""
    return next_tick(at + timedelta(seconds=min(LONGEST_S, FIRST_S * 2 ** min(tries, 10))))


def questions(suspects: Iterable[Suspect], node_ids: Mapping[int, str]) -> Questions:
    """The fewest calls that answer for all. `node_ids`: check runs of jobs, as far as they are known."""
    by_run: dict[RunKey, list[Suspect]] = {}
    single: list[Suspect] = []
    for each in suspects:
        if each.run is not None:
            by_run.setdefault(each.run, []).append(each)
        elif each.claim.job_id is not None:
            single.append(each)
    states: dict[str, list[Suspect]] = {}
    lists: dict[RunKey, tuple[Suspect, ...]] = {}
    for owner, runs in _by_owner(by_run).items():
        simple = [run for run in runs if all(_has_state(each, node_ids) for each in by_run[run])]
        if len(simple) > -(-sum(len(by_run[run]) for run in simple) // MOST):
            states[owner] = [each for run in simple for each in by_run[run]]
            runs = [run for run in runs if run not in simple]
        for run in runs:
            if len(by_run[run]) > 1:
                lists[run] = tuple(by_run[run])
            else:
                single += by_run[run]
    asked = {owner: tuple(each) for owner, each in states.items()}
    return Questions(states=asked, lists=lists, single=tuple(single))


def _by_owner(runs: Iterable[RunKey]) -> dict[str, list[RunKey]]:
    found: dict[str, list[RunKey]] = {}
    for run in runs:
        found.setdefault(run[0].partition("/")[0], []).append(run)
    return found


def _has_state(suspect: Suspect, node_ids: Mapping[int, str]) -> bool:
    return suspect.status in WAITS and suspect.claim.job_id in node_ids


def lists_pay(suspects: int, pages: int) -> bool:
    """Whether a place's whole list of runners costs less than a look at each of its suspects."""
    return suspects > pages
