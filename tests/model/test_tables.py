"""Every state has a way out in time (R13), and no table lets an ended thing come back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.model.claim_states import CLAIMS, LIVE, ClaimState
from andon.model.machine import Machine, Rejected
from andon.model.tables import TABLES, states_of

OWNERS = {"loop:claims", "loop:sweep", "loop:hosts", "loop:incidents", "loop:bars", "agent", "operator"}


@pytest.mark.parametrize("machine", TABLES, ids=lambda machine: machine.noun)
def test_every_non_terminal_state_has_a_deadline_a_consequence_and_an_owner(machine: Machine[Any]) -> None:
    for state in states_of(machine):
        if state in machine.terminal:
            assert state not in machine.deadlines, f"{state} is final and has a deadline"
            continue
        deadline = machine.deadlines[state]
        assert deadline.text and deadline.consequence
        assert deadline.owner in OWNERS
        assert deadline.limit is None or deadline.limit.total_seconds() > 0


@pytest.mark.parametrize("machine", TABLES, ids=lambda machine: machine.noun)
def test_no_edge_leaves_a_terminal_state(machine: Machine[Any]) -> None:
    assert not [state for state, _ in machine.edges if state in machine.terminal]


@pytest.mark.parametrize("machine", TABLES, ids=lambda machine: machine.noun)
def test_every_state_is_reached_and_every_non_terminal_state_can_be_left(machine: Machine[Any]) -> None:
    reached = set(machine.initial)
    while more := {after for (state, _), after in machine.edges.items() if state in reached} - reached:
        reached |= more
    assert reached == set(states_of(machine))
    for state in set(states_of(machine)) - machine.terminal:
        assert [after for (here, _), after in machine.edges.items() if here == state]


@given(st.sampled_from(TABLES), st.data())
def test_random_events_never_leave_the_table_and_never_revive(machine: Machine[Any], data: st.DataObject) -> None:
    state = data.draw(st.sampled_from(sorted(machine.initial)))
    events = st.sampled_from([*sorted(machine.events()), "nonsense"])
    for event in data.draw(st.lists(events, max_size=30)):
        after = machine.advance(state, event)
        if isinstance(after, Rejected):
            assert (state, event) not in machine.edges
            continue
        assert state not in machine.terminal
        assert after in states_of(machine)
        state = after


def test_live_claims_are_exactly_the_ones_that_are_not_over() -> None:
    assert set(ClaimState) - LIVE == CLAIMS.terminal


def test_first_deadlines_are_those_of_the_design() -> None:
    limits = {state.value: CLAIMS.deadlines[state].limit for state in CLAIMS.deadlines}
    seconds = {name: limit.total_seconds() if limit else None for name, limit in limits.items()}
    assert seconds == {
        "reserved": 30,
        "minted": 60,
        "launched": 150,
        "registered": 300,
        "busy": None,
        "orphaned": 60,
    }
