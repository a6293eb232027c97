"""What is done with an adopted runner's listener, with literals."""

import itertools

import pytest

from andon.model.wire import SlotState
from andon.rules.adopted_runner import ListenerAct, ListenerSight, judge_listener

NOTHING, INTERRUPT, START = ListenerAct.NOTHING, ListenerAct.INTERRUPT, ListenerAct.START


def sight(**known: object) -> ListenerSight:
    return ListenerSight(**{"listening": False, "working": False, **known})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("known", "act", "state"),
    [
        ({"listening": True, "idle_looks": 9}, NOTHING, SlotState.IDLE),
        ({"listening": True, "working": True}, NOTHING, SlotState.RUNNING),
        ({"gone_looks": 1}, NOTHING, SlotState.UNAVAILABLE),
        ({"gone_looks": 2}, START, SlotState.UNAVAILABLE),
        ({"gone_looks": 2, "due": False}, NOTHING, SlotState.UNAVAILABLE),
        ({"gone_looks": 9, "wrapped": True}, NOTHING, SlotState.UNAVAILABLE),
        ({"gone_looks": 9, "seen": False}, NOTHING, SlotState.UNAVAILABLE),
        ({"gone_looks": 9, "once": True}, NOTHING, SlotState.UNAVAILABLE),
        ({"gone_looks": 9, "cannot_start": "x"}, NOTHING, SlotState.UNAVAILABLE),
        ({"gone_looks": 9, "held": "cordoned"}, NOTHING, SlotState.UNAVAILABLE),
        ({"listening": True, "idle_looks": 1, "held": "cordoned"}, NOTHING, SlotState.STOPPING),
        ({"listening": True, "idle_looks": 2, "held": "cordoned"}, INTERRUPT, SlotState.STOPPING),
        ({"listening": True, "idle_looks": 1, "stale": True}, NOTHING, SlotState.IDLE),
        ({"listening": True, "idle_looks": 2, "stale": True}, INTERRUPT, SlotState.IDLE),
    ],
)
def test_each_row(known: dict[str, object], act: ListenerAct, state: SlotState) -> None:
    verdict = judge_listener(sight(**known))
    assert (verdict.act, verdict.state) == (act, state)


@pytest.mark.parametrize(
    ("known", "soon"),
    [
        ({"listening": True, "idle_looks": 9}, False),
        ({"listening": True, "idle_looks": 1, "stale": True}, True),
        ({"listening": True, "working": True, "held": "cordoned"}, False),
        ({"gone_looks": 1}, True),
        ({"gone_looks": 2, "due": False}, False),
    ],
)
def test_the_look_that_decides_comes_soon(known: dict[str, object], soon: bool) -> None:
    assert judge_listener(sight(**known)).soon is soon


def test_nothing_is_ever_done_while_a_job_process_lives_or_may() -> None:
    for listening, held, stale, unclear in itertools.product(
        (True, False), ("cordoned", None), (True, False), ("?", None)
    ):
        seen = sight(
            listening=listening,
            working=unclear is None,
            held=held,
            stale=stale,
            unclear=unclear,
            idle_looks=9,
            gone_looks=9,
        )
        assert judge_listener(seen).act is NOTHING
