"""The parser of GitHub's log format, on anything at all."""

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from andon.triage.catalogue import packaged
from andon.triage.lines import parse, shown, without_colours
from andon.triage.scan import Scanned, Scanner
from tests.triage.judging import engine

LINES = st.sampled_from(
    [
        b"##[group]Run make",
        b"##[group]Inputs",
        b"##[endgroup]",
        b"##[error]Process completed with exit code 1.",
        b"2026-05-15T14:02:11.1830000Z ##[error]bad",
        b"No space left on device",
        b"Post job cleanup.",
        b"--- FAIL: TestA (0.1s)",
        b"\xff\xfe\x00 connection reset by peer",
        b"\x1b[31mECONNRESET\x1b[0m",
        b"a" * 9000 + b"No space left on device",
        b"",
    ]
)
LOGS = st.lists(LINES | st.binary(max_size=60), max_size=40).map(b"\n".join)
_SCANNER = Scanner(packaged())


def _summary(scanned: Scanned) -> object:
    return [
        (s.name, s.line, s.post, s.errors, sorted((h.rule, h.line, h.body) for h in s.hits())) for s in scanned.steps
    ]


@settings(max_examples=150, deadline=None)
@given(LOGS, st.lists(st.integers(0, 2000), max_size=6))
def test_the_pieces_in_which_a_log_comes_change_nothing(log: bytes, cuts: list[int]) -> None:
    ends = sorted({min(cut, len(log)) for cut in cuts} | {0, len(log)})
    pieces = [log[a:b] for a, b in pairwise(ends)]
    assert _summary(_SCANNER.read(pieces)) == _summary(_SCANNER.read([log]))


@settings(max_examples=150, deadline=None)
@given(LOGS)
def test_a_hit_stands_on_the_line_that_it_names(log: bytes) -> None:
    lines = without_colours(log).split(b"\n")
    for step in _SCANNER.read([log]).steps:
        for hit in step.hits():
            assert parse(lines[hit.line - 1]).body == hit.body


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | LOGS)
@example(b"\xef\xbb\xbf2026-13-45T99:99:99.0Z ##[error]x")
def test_any_bytes_get_a_verdict(log: bytes) -> None:
    verdict = engine().judge([log])
    assert verdict.rerun is False or verdict.family in ("infra", "timeout")
    assert all(item.text.isprintable() or "\t" in item.text for item in verdict.evidence)


@given(st.binary(max_size=2000))
def test_shown_text_is_short_and_printable(body: bytes) -> None:
    text = shown(body)
    assert len(text) <= 500
    assert text.replace("\t", "").isprintable()


def test_steps_errors_and_what_runs_after_the_job() -> None:
    log = (
        b"\xef\xbb\xbf2026-05-15T14:00:00.0000000Z Current runner version\n"
        b"2026-05-15T14:00:01.0000000Z ##[group]Run make\n"
        b"2026-05-15T14:00:01.0000000Z ##[endgroup]\n"
        b"2026-05-15T14:20:01.0000000Z last words\n"
        b"2026-05-15T14:50:01.0000000Z ##[error]The operation was canceled.\n"
        b"2026-05-15T14:50:02.0000000Z Post job cleanup.\n"
    )
    setup, make, post = _SCANNER.read([log]).steps
    assert (setup.name, make.name, post.post) == ("Set up job", "make", True)
    assert make.errors == [(5, b"The operation was canceled.")]
    assert make.quiet_s == 1800
