"""The agent's decisions, with literals."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from andon.agent.claim_record import ClaimRecord, Phase, StatusRecord, bounded_tail
from andon.agent.held import Held, Life, judge
from andon.agent.plan import Known, Plan, end_reports, plan, slot_reports
from andon.agent.slot_table import Slot, slots_of
from andon.model.config import Agent, Slots
from andon.model.wire import ClaimOrder, Intent, SlotState, StopOrder, SyncAnswer

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SLOTS = tuple(Slot(number=number, pool="p", command=("/bin/true",)) for number in range(2))


def held(claim="c1", *, slot=0, generation=2, life=Life.GUARDED, phase=Phase.RUNNING) -> Held:
    record = ClaimRecord(claim=claim, generation=generation, slot=slot, pool="p", runner="r", ordered_at=NOW)
    return Held(folder=Path("/x"), claim=record, status=StatusRecord(phase=phase), life=life)


def order(claim="c2", *, slot=1, generation=1, deadline=NOW + timedelta(seconds=1)) -> ClaimOrder:
    return ClaimOrder(id=claim, generation=generation, slot=slot, runner="r", jit="j", deadline=deadline)


def known(*here: Held, past=frozenset()) -> Known:
    return Known(slots=SLOTS, held=here, past=past)


def answer(*claims: ClaimOrder, stop=(), intent=None) -> SyncAnswer:
    stops = tuple(StopOrder(claim=claim, generation=generation) for claim, generation in stop)
    return SyncAnswer(ack=1, claims=claims, stop=stops, intent=intent or Intent())


def test_a_free_open_slot_starts_what_is_ordered():
    wanted = order()
    assert plan(known(held()), answer(wanted), NOW) == Plan(start=(wanted,))


@pytest.mark.parametrize(
    ("here", "asked", "reason"),
    [
        (known(held(slot=1)), answer(order()), "slot is taken"),
        (known(past=frozenset({"c2"})), answer(order()), "ended here already"),
        (known(held("c2", life=Life.ENDED)), answer(order("c2")), "ended here already"),
        (known(held("c2", life=Life.ENDED)), answer(order("c2", generation=9)), "ended here already"),
        (known(), answer(order(slot=2)), "no such slot"),
        (known(), answer(order(deadline=NOW)), "past its deadline"),
        (known(), answer(order(), stop=[("c2", 1)]), "to be stopped"),
        (known(), answer(order(), intent=Intent(host="cordoned")), "host or slot is not open"),
        (known(), answer(order(), intent=Intent(slots={"1": "draining"})), "host or slot is not open"),
        (known(), answer(order("a/b")), "no id of ours"),
        (known(), answer(order("..")), "no id of ours"),
        (known(held("c2", slot=1)), answer(order("c2")), "of an older generation"),
    ],
)
def test_what_is_not_started(here, asked, reason):
    assert plan(here, asked, NOW).start == ()
    assert reason in [why for _, why in plan(here, asked, NOW).ignored]


def test_two_orders_for_one_slot_start_one():
    first, second = order("c2"), order("c3")
    assert plan(known(), answer(first, second), NOW) == Plan(start=(first,), ignored=(("c3", "slot is taken"),))


def test_repeating_an_answer_changes_nothing():
    assert plan(known(held("c2", slot=1, generation=1)), answer(order("c2")), NOW) == Plan()


@pytest.mark.parametrize(("generation", "stopped"), [(1, ()), (2, ("c1",)), (3, ())])
def test_a_stop_names_claim_and_generation_exactly(generation, stopped):
    assert plan(known(held()), answer(stop=[("c1", generation)]), NOW).stop == stopped


def test_a_stop_never_hits_the_successor_in_the_slot():
    here = known(held("old", life=Life.ENDED), held("new"))
    assert plan(here, answer(stop=[("old", 2)]), NOW).stop == ()


def test_a_newer_generation_of_a_running_claim_is_taken_over_first():
    newer = order("c1", slot=0, generation=3)
    assert plan(known(held()), answer(newer, stop=[("c1", 3)]), NOW) == Plan(renew=(newer,), stop=("c1",))


@pytest.mark.parametrize(
    ("guarded", "alive", "status", "life"),
    [
        (True, True, StatusRecord(phase=Phase.RUNNING, boot_id="b"), Life.GUARDED),
        (True, False, None, Life.GUARDED),
        (False, True, StatusRecord(phase=Phase.RUNNING, boot_id="b"), Life.ALONE),
        (False, True, StatusRecord(phase=Phase.RUNNING, boot_id="old"), Life.LOST),
        (False, False, StatusRecord(phase=Phase.RUNNING, boot_id="b"), Life.LOST),
        (False, False, None, Life.LOST),
        (True, False, StatusRecord(phase=Phase.ENDED, boot_id="old"), Life.ENDED),
    ],
)
def test_what_evidence_says_of_a_folder(guarded, alive, status, life):
    assert judge(guarded=guarded, alive=alive, status=status, boot="b") is life


def test_reports_of_free_broken_busy_and_removed_slots():
    here = known(held(slot=0), held("c9", slot=9, phase=Phase.LISTENING))
    reports = {report.slot: report for report in slot_reports(here, frozenset({"c1"}), {0: "no", 1: "no command"})}
    assert {slot: report.state for slot, report in reports.items()} == {
        0: SlotState.STOPPING,
        1: SlotState.UNAVAILABLE,
        9: SlotState.LISTENING,
    }
    assert reports[1].note == "no command"


def test_ends_are_reported_until_acknowledged():
    ends = (held("a", life=Life.ENDED), held("b", life=Life.ENDED), held("c"))
    assert [end.claim for end in end_reports(ends, frozenset({"b"}))] == ["a"]


def test_slots_are_numbered_through_the_groups(tmp_path):
    groups = (
        Slots(pool="a", command=("./run.sh", "x"), count=2, user="u-{slot}"),
        Slots(pool="b", command=("sh",)),
        Slots(pool="c", command=("no-such-command-here",)),
    )
    slots = slots_of(Agent(name="h", slots=groups), data=tmp_path, environ={"PATH": "/bin:/usr/bin"})
    assert [(slot.number, slot.pool, slot.user) for slot in slots] == [
        (0, "a", "u-0"),
        (1, "a", "u-1"),
        (2, "b", None),
        (3, "c", None),
    ]
    assert slots[0].command == (str(tmp_path / "run.sh"), "x")
    assert slots[2].command[0].endswith("/bin/sh")
    assert slots[3].command == ("no-such-command-here",)


def test_a_tail_is_cut_between_characters():
    assert len(bounded_tail("é" * 3000).encode()) == 4096
    assert len(bounded_tail("x" + "é" * 2500 + "y").encode()) == 4095
