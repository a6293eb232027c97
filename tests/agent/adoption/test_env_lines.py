"""The runner's `.env` as bytes: what is not ours is never touched."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from andon.agent.adoption.env_lines import COMPLETED, STARTED, check_encoding, values_in, with_values, without_values
from andon.runtime.errors import Refused

OURS = {STARTED: b"/r/job-started.sh", COMPLETED: b"/r/job-completed.sh"}
TWO = b"ACTIONS_RUNNER_HOOK_JOB_STARTED=/r/job-started.sh%bACTIONS_RUNNER_HOOK_JOB_COMPLETED=/r/job-completed.sh"

lines = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([STARTED + b"=/old.sh", COMPLETED + b"=", STARTED, b"#" + STARTED + b"=x", b"LANG=C", b"=x", b""]),
)
files = st.one_of(
    st.binary(max_size=60),
    st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r\n", b"\r", b""])), max_size=6).map(
        lambda parts: b"".join(text + end for text, end in parts)
    ),
).flatmap(lambda body: st.sampled_from([body, b"\xef\xbb\xbf" + body]))


@given(files)
@example(b"")
@example(b"\xef\xbb\xbf")
@example(b"LANG=C")
def test_setting_twice_is_setting_once_and_both_values_are_what_the_runner_takes(content: bytes) -> None:
    once = with_values(content, OURS)
    assert with_values(once, OURS) == once
    seen = values_in(once)
    assert {name: seen[name] for name in OURS} == OURS
    others = {name: value for name, value in values_in(content).items() if name not in OURS}
    assert {name: value for name, value in seen.items() if name not in OURS} == others


@given(files)
def test_taking_out_our_lines_alone_leaves_the_values_of_before(content: bytes) -> None:
    # As where somebody added a line since: the digest no longer fits, and only lines are ours.
    edited = with_values(content, OURS) + b"\nADDED=1\n"
    left = values_in(without_values(edited, OURS, content))
    assert left.pop(b"ADDED") == b"1"
    assert left == values_in(content)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", TWO % b"\n" + b"\n"),
        (b"LANG=C\n", b"LANG=C\n" + TWO % b"\n" + b"\n"),
        (b"LANG=C", b"LANG=C\n" + TWO % b"\n"),
        (b"A=1\r\nB=2\r\n", b"A=1\r\nB=2\r\n" + TWO % b"\r\n" + b"\r\n"),
        (b"A=1\r\nB=2", b"A=1\r\nB=2\r\n" + TWO % b"\r\n"),
        (STARTED + b"=/old.sh\nZ=1", STARTED + b"=/r/job-started.sh\nZ=1\n" + COMPLETED + b"=/r/job-completed.sh"),
    ],
)
def test_line_ends_and_order_are_kept(before: bytes, after: bytes) -> None:
    assert with_values(before, OURS) == after


def test_the_last_line_of_a_name_counts_and_an_earlier_one_stays() -> None:
    content = STARTED + b"=/a.sh\n" + STARTED + b"=/b.sh\n"
    assert with_values(content, {STARTED: b"/ours"}) == STARTED + b"=/a.sh\n" + STARTED + b"=/ours\n"
    assert values_in(STARTED + b"=/a.sh\n" + STARTED + b"=\n")[STARTED] is None


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff"])
def test_a_file_that_the_runner_reads_otherwise_is_refused(mark: bytes) -> None:
    with pytest.raises(Refused, match="UTF-16"):
        check_encoding(mark + b"A\0")
