"""The budget: never overdrawn, never a call inside a pause, and said on one line."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.github.budget import Budget, Moment, Ticket
from andon.github.call import Call, Priority
from andon.github.outcomes import Failed, FailureClass, Got, classify
from andon.github.pacing import CONTENT_A_MINUTE, CONTENT_AN_HOUR, POINTS_A_MINUTE, Pacing, Window

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


def moment(seconds: float) -> Moment:
    return Moment(at=START + timedelta(seconds=seconds), monotonic=1_000.0 + seconds)


def call(priority: Priority = Priority.ACT, endpoint: str = "GET /x", method: str = "GET", **more: bool) -> Call:
    return Call(method=method, path="/x", endpoint=endpoint, owner="acme", priority=priority, **more)


def headers(limit: int, remaining: int, resets_s: float) -> dict[str, str]:
    reset = int((START + timedelta(seconds=resets_s)).timestamp())
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(reset),
        "x-ratelimit-resource": "core",
    }


GOT = Got(body=b"", at=None, headers={})


def told(budget: Budget, limit: int, remaining: int, *, at: float = 0, resets_s: float = 3600) -> None:
    ticket = budget.admit(call(), moment(at))
    assert isinstance(ticket, Ticket), ticket
    budget.answered(ticket, headers(limit, remaining, resets_s), GOT, moment(at))


def refused(budget: Budget, priority: Priority, at: float = 1) -> Failed | None:
    got = budget.admit(call(priority), moment(at))
    if isinstance(got, Ticket):
        budget.unanswered(got)
        return None
    return got


class Window60:
    """GitHub's own count, as in contract section 5: so many calls in an hour, 304s free."""

    def __init__(self, limit: int) -> None:
        self.limit, self.left, self.ends = limit, limit, 3600.0

    def count(self, at: float) -> dict[str, str]:
        self.roll(at)
        self.left -= 1
        return headers(self.limit, max(0, self.left), self.ends)

    def peek(self, at: float) -> dict[str, str]:
        self.roll(at)
        return headers(self.limit, max(0, self.left), self.ends)

    def roll(self, at: float) -> None:
        while at >= self.ends:
            self.left, self.ends = self.limit, self.ends + 3600


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "arrive", "answer", "lose", "not_modified", "wait", "others"]),
        st.integers(0, 30),
        st.sampled_from(list(Priority)),
    ),
    max_size=120,
)


@given(st.integers(5, 40), st.integers(10, 100), STEPS)
def test_no_sequence_overdraws_the_budget(limit: int, percent: int, steps: list[tuple[str, int, Priority]]) -> None:
    """Whatever is sent, lost, or answered in any order: while only we use the credential, GitHub never
    counts us below the reserve."""
    github, budget, now = Window60(limit), Budget("token", percent), 0.0
    first = budget.admit(call(), moment(now))
    assert isinstance(first, Ticket)
    budget.answered(first, github.count(now), GOT, moment(now))
    under_way: list[Ticket] = []
    answered: list[tuple[Ticket, dict[str, str], bool]] = []
    for step, number, priority in steps:
        if step == "wait":
            now += number * 60.0
        elif step == "send":
            got = budget.admit(call(priority, endpoint=f"GET /{number}"), moment(now))
            if isinstance(got, Ticket):
                under_way.append(got)
            else:
                assert got.until is not None and got.until > moment(now).at
        elif step in ("arrive", "not_modified") and under_way:
            ticket = under_way.pop(number % len(under_way))
            free = step == "not_modified"
            answered.append((ticket, github.peek(now) if free else github.count(now), not free))
            reserve = -(-limit * (100 - percent) // 100)
            # The very first call went out before anything was known.
            assert github.left >= min(reserve, limit - 1)
        elif step == "answer" and answered:
            ticket, told_then, counted = answered.pop(number % len(answered))
            budget.answered(ticket, told_then, GOT, moment(now), counted=counted)
        elif step == "lose" and answered:
            # It was counted, and its answer never came.
            budget.unanswered(answered.pop(number % len(answered))[0])


def test_lists_stop_first_then_questions_and_acts_at_the_reserve() -> None:
    budget = Budget("token", 80)
    told(budget, 1000, 400)
    assert refused(budget, Priority.SWEEP) is not None
    assert refused(budget, Priority.LOOKUP) is None
    told(budget, 1000, 280, at=2)
    assert refused(budget, Priority.LOOKUP, 3) is not None
    assert refused(budget, Priority.ACT, 3) is None
    told(budget, 1000, 200, at=4)
    stop = refused(budget, Priority.ACT, 5)
    assert stop is not None and stop.kind is FailureClass.RATE_LIMITED and stop.local
    assert stop.until == START + timedelta(seconds=3600)


def test_a_new_window_is_used_when_the_old_one_is_over() -> None:
    budget = Budget("token", 80)
    told(budget, 1000, 200)
    assert refused(budget, Priority.ACT, 3599) is not None
    assert refused(budget, Priority.SWEEP, 3600) is None


def test_an_answer_of_a_window_that_is_over_changes_nothing() -> None:
    budget = Budget("token", 80)
    told(budget, 1000, 900)
    late = budget.admit(call(), moment(10))
    assert isinstance(late, Ticket)
    told(budget, 1000, 999, at=3700, resets_s=7200)
    budget.answered(late, headers(1000, 1, 3600), GOT, moment(3701))
    assert budget.views(moment(3701))[0].remaining == 999


def test_a_clock_that_jumps_neither_ends_a_pause_nor_begins_a_window() -> None:
    budget = Budget("token", 80)
    told(budget, 1000, 200)
    ahead = Moment(at=START + timedelta(hours=5), monotonic=1_010.0)
    assert isinstance(budget.admit(call(), ahead), Failed)


def limited(budget: Budget, at: float, **said: str) -> Ticket:
    """One call that is answered 403 with these headers."""
    ticket = budget.admit(call(), moment(at))
    assert isinstance(ticket, Ticket), ticket
    answer_403(budget, ticket, at, **said)
    return ticket


def answer_403(budget: Budget, ticket: Ticket, at: float, **said: str) -> None:
    names = {name.replace("_", "-"): value for name, value in said.items()}
    outcome = classify(403, names, b'{"message": "You have exceeded a secondary rate limit"}', moment(at).at)
    budget.answered(ticket, names, outcome, moment(at))


def test_retry_after_holds_every_call_of_the_credential_however_urgent() -> None:
    budget = Budget("token", 80)
    limited(budget, 0, retry_after="90")
    for priority in Priority:
        held = refused(budget, priority, 89.9)
        assert held is not None and held.until == START + timedelta(seconds=90)
    assert refused(budget, Priority.SWEEP, 90) is None


def test_a_limit_without_a_time_is_a_minute_and_then_longer_each_time() -> None:
    budget, at = Budget("token", 80), 0.0
    for minutes in (1, 2, 4, 8, 16, 32, 60, 60):
        limited(budget, at)
        assert refused(budget, Priority.ACT, at + minutes * 60 - 1) is not None
        at += minutes * 60
        assert refused(budget, Priority.ACT, at) is None
    told(budget, 1000, 900, at=at)
    limited(budget, at + 1)
    assert refused(budget, Priority.ACT, at + 62) is None


def test_many_refusals_of_one_burst_are_one() -> None:
    budget = Budget("token", 80)
    tickets = [budget.admit(call(), moment(0)) for _ in range(20)]
    for ticket in tickets:
        assert isinstance(ticket, Ticket)
        answer_403(budget, ticket, 1)
    assert refused(budget, Priority.ACT, 61.5) is None


@pytest.mark.parametrize("status", [403, 429, 503])
@pytest.mark.parametrize("told_first", [True, False])
@pytest.mark.parametrize("named_s", [-5, 0, 1])
@pytest.mark.parametrize("by", ["retry-after", "a date", "a spent quota"])
def test_an_end_that_is_named_now_lets_no_burst_through(status: int, told_first: bool, named_s: int, by: str) -> None:
    """Fifty calls, ten each second: each refusal says "come again now", or in a second."""
    budget, sent = Budget("token", 80), 0
    if told_first:
        told(budget, 5000, 4999)
    for number in range(50):
        at = 1 + number / 10
        ticket = budget.admit(call(), moment(at))
        if isinstance(ticket, Failed):
            assert ticket.until is not None and ticket.until > moment(at).at
            continue
        sent += 1
        ends = moment(int(at) + named_s).at
        said = {
            "retry-after": {"retry-after": str(max(0, named_s))},
            "a date": {"retry-after": format_datetime(ends, usegmt=True)},
            "a spent quota": headers(5000, 0, int(at) + named_s),
        }[by]
        said["date"] = format_datetime(moment(int(at)).at, usegmt=True)
        outcome = classify(status, said, b"{}", moment(at).at)
        assert isinstance(outcome, Failed)
        budget.answered(ticket, said, outcome, moment(at))
    if status == 503 and by == "a spent quota":
        # A fault of GitHub's that names no time holds nobody but its own call.
        return
    assert sent <= 3


def test_a_short_end_that_is_named_again_and_again_grows_to_a_minute() -> None:
    budget, at, pauses = Budget("token", 80), 0.0, list[float]()
    for _ in range(9):
        limited(budget, at, retry_after="1")
        held = refused(budget, Priority.ACT, at)
        assert held is not None and held.until is not None
        pauses.append((held.until - moment(at).at).total_seconds())
        at += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    told(budget, 1000, 900, at=at)
    limited(budget, at + 1, retry_after="1")
    assert refused(budget, Priority.ACT, at + 2.1) is None, "an answer ends the growing"


def test_a_quota_that_is_spent_keeps_only_its_own_bucket() -> None:
    budget = Budget("token", 80)
    ticket = budget.admit(call(), moment(0))
    assert isinstance(ticket, Ticket)
    said = headers(5000, 0, 1800)
    budget.answered(ticket, said, classify(403, said, b"{}", moment(0).at), moment(0))
    assert refused(budget, Priority.ACT) is not None
    assert isinstance(budget.admit(call(endpoint="POST /graphql", method="POST", graphql=True), moment(1)), Ticket)


def test_an_endless_retry_after_is_a_day_at_most() -> None:
    budget = Budget("token", 80)
    limited(budget, 0, retry_after="9" * 40)
    assert refused(budget, Priority.ACT, 86_399) is not None
    assert refused(budget, Priority.ACT, 86_400) is None


def test_a_refused_credential_is_left_alone_for_longer_each_time() -> None:
    budget, at = Budget("token", 80), 0.0
    for pause in (15, 30, 60):
        ticket = budget.admit(call(), moment(at))
        assert isinstance(ticket, Ticket)
        outcome = classify(401, {}, b'{"message": "Bad credentials"}', moment(at).at)
        budget.answered(ticket, {}, outcome, moment(at))
        held = refused(budget, Priority.ACT, at + pause - 1)
        assert held is not None and (held.kind, held.message) == (FailureClass.UNAUTHORISED, "Bad credentials")
        at += pause
    (view,) = budget.views(moment(at - 1))
    assert view.held and view.degraded is not None and "does not accept the credential" in view.degraded


def test_the_line_says_what_waits_and_until_when() -> None:
    budget = Budget("token", 80)
    told(budget, 1000, 1000)
    assert budget.views(moment(1))[0].degraded is None
    told(budget, 1000, 350, at=2)
    (view,) = budget.views(moment(3))
    assert (view.limit, view.remaining, view.reserve, view.used) == (1000, 350, 200, 2)
    assert view.degraded == "350 of 1000 calls are left, so lists are not read."
    assert view.until == view.resets_at == START + timedelta(seconds=3600)


def test_what_an_earlier_process_knew_holds_after_a_restart() -> None:
    before = Budget("token", 80)
    told(before, 1000, 300)
    limited(before, 1, retry_after="90")
    (view,) = before.views(moment(2))
    after = Budget("token", 80)
    after.restore(view, Moment(at=moment(20).at, monotonic=5.0))
    held = after.admit(call(), Moment(at=moment(80).at, monotonic=65.0))
    assert isinstance(held, Failed) and held.until == START + timedelta(seconds=91)
    assert isinstance(after.admit(call(Priority.SWEEP), Moment(at=moment(100).at, monotonic=85.0)), Failed)
    assert isinstance(after.admit(call(Priority.LOOKUP), Moment(at=moment(100).at, monotonic=85.0)), Ticket)


def test_calls_are_counted_in_the_bucket_that_github_names() -> None:
    budget = Budget("token", 80)
    mint = call(endpoint="POST /mint", method="POST")
    ticket = budget.admit(mint, moment(0))
    assert isinstance(ticket, Ticket)
    said = {**headers(10_000, 9_999, 3600), "x-ratelimit-resource": "actions_runner_registration"}
    budget.answered(ticket, said, GOT, moment(0))
    told(budget, 1000, 100, at=1)
    assert isinstance(budget.admit(mint, moment(2)), Ticket), "another bucket's shortage is not ours"
    assert isinstance(budget.admit(call(), moment(2)), Failed)


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from([1, 5])), max_size=400))
def test_no_minute_holds_more_points_than_allowed(steps: list[tuple[float, int]]) -> None:
    window, now, sent = Window(50, 61), 0.0, list[tuple[float, int]]()
    for wait, points in steps:
        now += wait
        free = window.free_at(points, now)
        if free <= now:
            window.spend(points, now)
            sent.append((now, points))
        else:
            assert deepcopy(window).free_at(points, free) <= free, "free when it said it would be"
    for at, _ in sent:
        assert sum(points for when, points in sent if at <= when < at + 60) <= 50


@pytest.mark.parametrize(
    ("endpoint", "points", "content", "most"),
    [
        ("POST /mint", 5, False, POINTS_A_MINUTE // 5),
        ("GET /x", 1, False, POINTS_A_MINUTE),
        ("POST /issues", 5, True, CONTENT_A_MINUTE),
    ],
)
def test_a_burst_stops_at_githubs_pace(endpoint: str, points: int, content: bool, most: int) -> None:
    pacing = Pacing()
    sent = 0
    while pacing.free_at(endpoint, points, content, 10.0) <= 10.0:
        pacing.spend(endpoint, points, content, 10.0)
        sent += 1
    assert sent == most
    assert 70.0 <= pacing.free_at(endpoint, points, content, 10.0) <= 73.0


def test_five_hundred_pieces_of_content_an_hour() -> None:
    pacing, now, sent = Pacing(), 0.0, 0
    while now < 3600:
        now = pacing.free_at("POST /issues", 5, True, now)
        pacing.spend("POST /issues", 5, True, now)
        sent += now < 3600
        now += 1
    assert sent == CONTENT_AN_HOUR
