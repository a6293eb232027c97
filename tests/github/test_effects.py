"""The table of effects: whole, and each row does at the transport what it says (R8).

What the acts do by it is tried in tests/loops/test_effects.py.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.github.effects import EFFECTS, Pauses, ReadAs, Retry
from andon.github.outcomes import LONGEST_PAUSE, Failed, FailureClass, Got, classify
from tests.github.peer import Peer, reply
from tests.github.test_transport import call

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_every_class_has_its_row() -> None:
    assert set(EFFECTS) == set(FailureClass)


@pytest.mark.parametrize("kind", list(FailureClass))
def test_no_row_reads_a_failure_as_nothing_there(kind: FailureClass) -> None:
    effect = EFFECTS[kind]
    assert effect.read_as in (ReadAs.UNKNOWN, ReadAs.NOT_SEEN, ReadAs.THERE, ReadAs.REFUSED)
    # Only a 404 says anything about absence, and that is one reading.
    assert (effect.read_as is ReadAs.NOT_SEEN) == (kind is FailureClass.GONE)


@pytest.mark.parametrize("kind", list(FailureClass))
def test_what_may_have_been_carried_out_is_tried_again_and_looked_for(kind: FailureClass) -> None:
    effect = EFFECTS[kind]
    assert effect.may_have_happened == (effect.retry is Retry.BACKOFF)


EXAMPLES = {
    FailureClass.RETRY_LATER: reply(502),
    FailureClass.RATE_LIMITED: reply(429, {"message": "rate limit"}),
    FailureClass.UNAUTHORISED: reply(401, {"message": "Bad credentials"}),
    FailureClass.FORBIDDEN: reply(403, {"message": "Resource not accessible by integration"}),
    FailureClass.GONE: reply(404, {"message": "Not Found"}),
    FailureClass.CONFLICT: reply(409, {"message": "Already exists"}),
    FailureClass.INVALID: reply(422, {"message": "Runner is busy"}),
    FailureClass.MALFORMED: reply(200, b"<html>"),
    FailureClass.BUG: reply(400, {"message": "Problems parsing JSON"}),
}


@pytest.mark.parametrize("kind", list(FailureClass))
def test_a_credential_is_left_alone_exactly_where_the_table_says(kind: FailureClass) -> None:
    async def story() -> None:
        peer = Peer(EXAMPLES[kind])
        got = await peer.github.job("acme/app", 1)
        assert isinstance(got, Failed) and got.kind is kind
        again = await peer.transport.send(call(owner="other"))
        held = isinstance(again, Failed) and again.local
        assert held == (EFFECTS[kind].pauses is Pauses.CREDENTIAL)
        assert len(peer.asked) == 2 - held
        # What is left alone is on the board with an end; what is not, is not.
        (view,) = peer.github.budgets()
        assert (view.degraded is not None and view.until is not None) == held

    asyncio.run(story())


@given(
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(["retry-after", "x-ratelimit-remaining", "x-ratelimit-reset", "date", "x-ratelimit-limit"]),
        st.one_of(st.text(max_size=30), st.integers().map(str), st.just("Sun, 22 Nov 2026 10:00:00 GMT")),
    ),
    st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: f'{{"message": "{text}"}}'.encode())),
)
def test_every_answer_is_either_an_answer_or_one_failure(status: int, headers: dict[str, str], body: bytes) -> None:
    outcome = classify(status, headers, body, NOW)
    if isinstance(outcome, Got):
        assert 200 <= status < 300
        return
    assert outcome.kind in EFFECTS and outcome.message and outcome.status == status
    assert (outcome.until is not None) or outcome.kind is not FailureClass.RATE_LIMITED
    if outcome.until is not None:
        assert NOW <= outcome.until <= NOW + LONGEST_PAUSE
    assert not outcome.guessed or outcome.until == NOW + timedelta(minutes=1)
