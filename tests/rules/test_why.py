"""Exactly one answer to "why does it wait?", by one precedence (R74)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.model.claim_states import ClaimState
from andon.model.job_states import JobStatus
from andon.rules.disk_admission import Shortage
from andon.rules.growth import Basis, Expected
from andon.rules.why import CAUSES, WITHHELD, Situation, why
from tests.support.builders import START, a_pool, at

SHORT = Shortage(
    host="a",
    mount="/",
    free=9,
    reserved=1,
    expected=Expected(bytes=20, basis=Basis.POOL),
    floor=2,
    admits=True,
    hosts=2,
)
SPOKEN = [
    "gate",
    "concurrency_group",
    "github",
    "stranded",
    "unserved_label",
    "quarantined",
    "no_runner",
    "no_disk",
    "capped",
    "reserved",
    "rate_limited",
    "degraded",
    "starting",
    "busy",
    "not_waiting",
]


def situation(**changes: Any) -> Situation:
    defaults: dict[str, Any] = {
        "job": 1,
        "status": JobStatus.QUEUED,
        "queued_at": START,
        "created_at": START,
        "now": at(100),
        "owner": "acme",
        "labels": ("self-hosted", "linux"),
        "pool": a_pool(),
        "run_known": True,
        "fork": False,
        "trusted": True,
        "claim_state": None,
        "claim_since": None,
        "claim_reason": None,
        "slots": 4,
        "slots_closed": {},
        "slots_open": 4,
        "slots_free": 0,
        "hosts_silent": (),
        "max_slots": None,
        "owner_used": 0,
        "paused_until": None,
        "pause_reason": None,
        "dispatch_mode": "act",
        "position": 1,
    }
    return Situation(**{**defaults, **changes})


@pytest.mark.parametrize(
    ("cause", "changes"),
    [
        ("gate", {"status": JobStatus.WAITING}),
        ("concurrency_group", {"status": JobStatus.PENDING}),
        ("github", {"claim_state": ClaimState.REGISTERED, "claim_since": at(30)}),
        ("stranded", {"claim_state": ClaimState.ORPHANED, "claim_since": at(99)}),
        ("unserved_label", {"pool": None}),
        ("quarantined", {"slots_closed": {"quarantined": 4}, "slots_open": 0}),
        ("no_runner", {"slots_open": 0, "slots_closed": {"silent": 4}, "hosts_silent": ("host-a",)}),
        ("no_runner", {"slots": 0, "slots_open": 0}),
        ("no_disk", {"shortage": SHORT, "slots_free": 1, "max_slots": 2, "owner_used": 2}),
        ("no_disk", {"shortage": SHORT, "slots_open": 0, "slots_closed": {"unavailable": 4}}),
        ("starting", {"shortage": SHORT, "slots_free": 1, "left_to": "r", "left_until": at(999)}),
        ("capped", {"max_slots": 2, "owner_used": 2}),
        ("reserved", {"trusted": False, "fork": True}),
        ("rate_limited", {"paused_until": at(200), "pause_reason": "limit"}),
        ("rate_limited", {"paused_until": at(50), "pause_reason": "limit", "pause_tried": True, "slots_free": 1}),
        ("starting", {"paused_until": at(50), "pause_reason": "limit", "slots_free": 1}),
        ("degraded", {"dispatch_mode": "observe"}),
        ("degraded", {"run_known": False, "slots_free": 1}),
        ("starting", {"slots_free": 1}),
        ("starting", {"claim_state": ClaimState.LAUNCHED, "claim_since": at(99)}),
        ("busy", {}),
        ("not_waiting", {"status": JobStatus.IN_PROGRESS}),
        ("not_waiting", {"status": JobStatus.COMPLETED}),
    ],
)
def test_each_cause(cause: str, changes: dict[str, Any]) -> None:
    answer = why(situation(**changes))
    assert answer.cause == cause
    assert answer.text.endswith(".") and answer.until


def test_the_precedence_is_the_one_of_the_interface() -> None:
    names = [cause.name for cause in CAUSES]
    assert names == [name for name in SPOKEN if name in names]
    assert set(SPOKEN) == set(names)
    assert set(names) >= WITHHELD


@given(
    st.builds(
        situation,
        status=st.sampled_from(JobStatus),
        pool=st.sampled_from([None, a_pool()]),
        claim_state=st.sampled_from([None, *ClaimState]),
        claim_since=st.sampled_from([at(10), at(99)]),
        slots_open=st.integers(0, 4),
        slots_free=st.integers(0, 4),
        trusted=st.booleans(),
        run_known=st.booleans(),
        max_slots=st.sampled_from([None, 0, 2]),
        owner_used=st.integers(0, 3),
        dispatch_mode=st.sampled_from(["act", "observe", "off"]),
        shortage=st.sampled_from([None, SHORT]),
    )
)
def test_there_is_always_exactly_one_answer_and_it_can_be_sent(each: Situation) -> None:
    answer = why(each)
    assert answer.cause in SPOKEN
    assert (answer.cause == "not_waiting") == (each.status in (JobStatus.IN_PROGRESS, JobStatus.COMPLETED))
    assert msgspec.json.decode(msgspec.json.encode(answer))["text"]


def test_no_runner_says_what_keeps_the_slots() -> None:
    closed = {"silent": 3, "cordoned": 1}
    answer = why(situation(slots_open=0, slots_closed=closed, hosts_silent=("host-b",)))
    assert answer.text == "None of the 4 slots of pool linux can be claimed: 3 silent (host-b), 1 cordoned."
