"""How far our clock is from GitHub's: the truth lies within what is said to be uncertain."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from andon.github.clock_skew import ClockSkew, measure

TRUE = datetime(2026, 11, 22, 10, 0, 0, 250_000, tzinfo=UTC)


@given(st.floats(-1e6, 1e6), st.floats(0, 60), st.floats(0, 1), st.floats(0, 1))
def test_the_truth_is_within_the_uncertainty(ahead: float, took: float, share: float, part: float) -> None:
    sent = TRUE + timedelta(seconds=ahead)
    answered = TRUE + timedelta(seconds=took * share + part)
    received = sent + timedelta(seconds=took + part)
    skew = measure(answered.replace(microsecond=0), sent, received)
    assert abs(skew.ahead_s - ahead) <= skew.uncertain_s + 0.001


def test_a_slow_answer_does_not_blur_a_sharp_measurement() -> None:
    skew = ClockSkew()
    skew.learn(TRUE.replace(microsecond=0), TRUE, TRUE)
    sharp = skew.latest
    skew.learn(TRUE.replace(microsecond=0), TRUE, TRUE + timedelta(seconds=8))
    assert skew.latest is sharp


def test_a_clock_that_was_set_is_noticed_at_once() -> None:
    skew = ClockSkew()
    skew.learn(TRUE, TRUE, TRUE)
    set_to = TRUE + timedelta(minutes=3)
    skew.learn(TRUE, set_to, set_to + timedelta(seconds=3))
    assert skew.latest is not None and 175 < skew.latest.ahead_s < 185
    assert abs(skew.theirs(set_to) - TRUE) < timedelta(seconds=3)
