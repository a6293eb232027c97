"""The fewest calls that answer for all suspects, and steps in which they are looked at (R10)."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.model.claim_states import ClaimState
from andon.model.job_states import JobStatus
from andon.rules.lookups import LONGEST_S, MOST, TICK_S, Suspect, next_look, next_tick, questions
from tests.support.builders import START, a_claim


def suspect(number: int, run: int | None, status: JobStatus = JobStatus.QUEUED, owner: str = "acme") -> Suspect:
    claim = a_claim(id=f"clm_{number}", job_id=number, state=ClaimState.ORPHANED)
    key = None if run is None else (f"{owner}/app", run, 1)
    return Suspect(claim=claim, run=key, status=None if run is None else status)


def calls(suspects: list[Suspect], known: set[int]) -> int:
    asked = questions(suspects, {number: f"CR_{number}" for number in known})
    told = [each for group in (*asked.states.values(), *asked.lists.values(), asked.single) for each in group]
    assert sorted(each.claim.id for each in told) == sorted(each.claim.id for each in suspects), "each exactly once"
    return sum(-(-len(each) // MOST) for each in asked.states.values()) + len(asked.lists) + len(asked.single)


@pytest.mark.parametrize(("number", "most"), [(1, 1), (2, 1), (99, 1), (100, 1), (101, 2), (250, 3)])
def test_jobs_that_wait_cost_one_call_a_hundred(number: int, most: int) -> None:
    suspects = [suspect(each, each) for each in range(1, number + 1)]
    assert calls(suspects, set(range(1, number + 1))) == most


def test_one_run_is_one_list_and_a_runner_is_not_graphqls_to_tell() -> None:
    assert calls([suspect(each, 7) for each in range(1, 50)], set()) == 1
    running = [suspect(each, each, JobStatus.IN_PROGRESS) for each in range(1, 6)]
    assert calls(running, set(range(1, 6))) == 5


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(list(JobStatus)), st.sampled_from(["acme", "other"])), max_size=40
    ),
    st.sets(st.integers(0, 40)),
)
def test_no_suspect_is_forgotten_and_none_costs_more_than_alone(
    drawn: list[tuple[int, JobStatus, str]], known: set[int]
) -> None:
    suspects = [suspect(at, run, status, owner) for at, (run, status, owner) in enumerate(drawn)]
    assert calls(suspects, known) <= len({each.run for each in suspects})


@given(st.integers(0, 10**7), st.integers(0, 50))
def test_looks_fall_into_steps_behind_those_who_were_left_out(milliseconds: int, tries: int) -> None:
    now = START + timedelta(milliseconds=milliseconds)
    left_out, again = next_tick(now), next_look(now, tries)
    assert timedelta(0) < left_out - now <= timedelta(seconds=TICK_S)
    assert left_out < again <= now + timedelta(seconds=LONGEST_S + TICK_S)
    assert (again - left_out) % timedelta(seconds=TICK_S) == timedelta(0)
