"""What the end of a claim says of its slot, and how long a slot rests (N3, R38)."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from andon.model.claim_states import ClaimState
from andon.model.host_states import Intent
from andon.model.job_states import JobStatus
from andon.model.nouns import Slot
from andon.model.slot_rests import LIVED_LONG, RESTS
from andon.rules.slot_rest import Start, judge_start, rest_after, rests
from tests.support.builders import START, a_claim, at


def a_slot(**changes: Any) -> Slot:
    defaults: dict[str, Any] = {
        "host": "host-a",
        "slot": 0,
        "kind": "jit",
        "pool": "linux",
        "intent": Intent.OPEN,
        "state": "idle",
        "claim": None,
        "generation": None,
        "runner": None,
        "note": None,
        "since": START,
    }
    return Slot(**{**defaults, **changes})


def in_doubt(**changes: Any) -> Any:
    return a_claim("clm_1", **{"state": ClaimState.ORPHANED, "created_at": START, "since": at(5), **changes})


def released(claim: Any, slot: Slot | None = None, job: JobStatus = JobStatus.QUEUED) -> Start:
    return judge_start(claim, ClaimState.RELEASED, slot, job).start


def test_each_failed_start_in_a_row_rests_longer_and_never_longer_than_the_last() -> None:
    assert rest_after(0) == rest_after(1) == timedelta(0), "one may be chance (R27)"
    assert [rest_after(count) for count in range(1, len(RESTS) + 1)] == list(RESTS)
    assert all(earlier < later for earlier, later in pairwise(RESTS))
    assert rest_after(10_000) == RESTS[-1]


def test_a_slot_rests_until_its_time_and_not_after() -> None:
    resting = a_slot(rests_until=at(10))
    assert (rests(resting, at(9)), rests(resting, at(10)), rests(a_slot(), START)) == (True, False, False)


@pytest.mark.parametrize(
    "end",
    [{"exit": 1}, {"exit": 0}, {"signal": 9}, {"exit": 127}, {}],
    ids=["an error", "a fault that run.sh hides", "SIGKILL", "no such command", "nobody saw it"],
)
def test_a_runner_that_ended_before_it_served_is_a_failed_start(end: dict[str, int]) -> None:
    assert released(in_doubt(ended_at=at(5), **end)) is Start.FAILED


def test_what_served_proves_the_slot() -> None:
    for state in (ClaimState.BUSY, ClaimState.ORPHANED):
        served = judge_start(in_doubt(state=state, ended_at=at(5), exit=1), ClaimState.SETTLED, None, None)
        assert served.start is Start.PROVEN


def test_a_runner_that_lived_long_says_nothing_against_its_slot() -> None:
    assert released(in_doubt(ended_at=at(900), exit=1, since=START + LIVED_LONG)) is Start.PROVEN


@pytest.mark.parametrize(
    "tail", ["Running job: build", "The runner registration has been deleted from the server, please re-configure."]
)
def test_an_end_that_somebody_else_caused_says_nothing(tail: str) -> None:
    assert released(in_doubt(ended_at=at(5), exit=0, tail=tail)) is Start.UNKNOWN


def test_a_runner_that_never_came_up_failed_and_one_that_listens_did_not() -> None:
    assert released(in_doubt(), a_slot(claim="clm_1", state="starting")) is Start.FAILED
    assert released(in_doubt(), a_slot(claim="clm_1", state="listening")) is Start.PROVEN


def test_absence_is_no_evidence() -> None:
    assert released(in_doubt()) is Start.UNKNOWN
    assert released(in_doubt(), a_slot(claim="clm_other", state="starting")) is Start.UNKNOWN
    assert released(in_doubt(), a_slot(claim="clm_1", state="starting"), JobStatus.COMPLETED) is Start.UNKNOWN, (
        "its demand was gone: it may have been given up too early"
    )
    assert released(in_doubt(state=ClaimState.RESERVED, ended_at=at(5), exit=1)) is Start.UNKNOWN
