"""One pass over a job's log: its steps, where each shows an error, and every line that a rule fits.

Follows GitHub's log format (triage-facts.md section 2.1): a step begins with the group "Run ...", in which the
runner echoes the step's script, its inputs and environment; those quote error texts and are not looked at. The log
comes in pieces and is never held whole: what is kept of it is bounded (R76).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from andon.triage.catalogue import NEAR_LINES
from andon.triage.lines import LINE_CAP, Line, parse, shown, without_colours
from andon.triage.matcher import Matcher, Scan, texts_of
from andon.triage.rule import Rule
from andon.triage.test_blocks import EVENTS, LOOKS, TEXTS

_PIECE = 1 << 20
_AROUND = 4096
_FIRST, _LAST = 4, 24
_MOST_STEPS = 400
_LONGEST_ECHO = 2000
_STRUCTURE = (
    "##[group]",
    "##[endgroup]",
    "##[error]",
    "Post job cleanup.",
    "Cleaning up orphan processes",
    "Command completed after ",
)


class Hit(msgspec.Struct, frozen=True):
    """A line that a rule fits. `before` and `after` are the lines around it, as they stand in the log."""

    rule: int
    line: int
    body: bytes
    before: bytes
    after: bytes

    def lines_before(self) -> list[bytes]:
        """The bodies of the lines before it, nearest last."""
        return [parse(raw).body for raw in self.before.split(b"\n")[-NEAR_LINES:]]

    def lines_after(self) -> list[bytes]:
        """The bodies of the lines after it, nearest first."""
        return [parse(raw).body for raw in self.after.split(b"\n")[:NEAR_LINES]]


class Kept:
    """The first few and the last few of something that a log may hold a million of."""

    def __init__(self) -> None:
        self._first: list[Hit] = []
        self._last: deque[Hit] = deque(maxlen=_LAST)

    def add(self, hit: Hit) -> None:
        """Keeps it until newer ones need its place."""
        (self._first if len(self._first) < _FIRST else self._last).append(hit)

    def __iter__(self) -> Iterator[Hit]:
        yield from self._first
        yield from self._last


class Step:
    """A stretch of the log between two "Run ..." groups."""

    def __init__(self, name: str, line: int, at: datetime | None, *, post: bool = False) -> None:
        self.name, self.line, self.at, self.post = name, line, at, post
        self.last_at = at
        self.errors: list[tuple[int, bytes]] = []
        self.error_at: datetime | None = None
        self.quiet_s: float | None = None
        self.tail: list[tuple[int, bytes]] = []
        self.kept: dict[int, Kept] = {}
        self.marks: deque[tuple[int, bool]] = deque(maxlen=4000)

    def hits(self) -> Iterator[Hit]:
        """Every hit that was kept."""
        for kept in self.kept.values():
            yield from kept


class Scanned(msgspec.Struct, frozen=True):
    """`framed`: it is a job's log and no excerpt, since it has groups."""

    steps: list[Step]
    framed: bool
    lines: int


class Scanner:
    """Reads logs with one set of rules; may be used for many logs, one after the other."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.matcher = Matcher(rules, LOOKS)
        exact = [text for rule in rules if not rule.match.startswith("(?i)") for text in texts_of(rule) or ()]
        any_case = [text for rule in rules if rule.match.startswith("(?i)") for text in texts_of(rule) or ()]
        self._scan = Scan([*_STRUCTURE, *TEXTS, *exact], any_case)

    def read(self, chunks: Iterable[bytes]) -> Scanned:
        """The whole log, given in pieces of any size."""
        reading = _Reading(self.matcher, self._scan)
        for window, start, end in _windows(chunks):
            reading.window(window, start, end)
        return reading.done()


class _Reading:
    def __init__(self, matcher: Matcher, scan: Scan) -> None:
        self._matcher, self._scan = matcher, scan
        self._line = 1
        self._framed = False
        self._echo_until = 0
        self.steps = [Step("Set up job", 1, None)]

    def window(self, window: bytes, start: int, end: int) -> None:
        """Looks at `window[start:end]`, whole lines; what stands around is there for context."""
        counted = start
        for found, line_end in self._scan.lines(window, start, end):
            line_start = max(window.rfind(b"\n", start, found) + 1, start)
            self._line += window.count(b"\n", counted, line_start)
            counted = line_start
            if found - line_start < LINE_CAP:
                self._look(window, line_start, line_end)
        self._line += window.count(b"\n", counted, end)

    def done(self) -> Scanned:
        """What was found."""
        return Scanned(self.steps, self._framed, self._line)

    def _look(self, window: bytes, start: int, end: int) -> None:
        line = parse(window[start : min(end, start + LINE_CAP)])
        body = line.body
        if body.startswith((b"##[", b"Post job", b"Cleaning up")) and self._structure(window, start, line):
            return
        if self._line < self._echo_until or body.startswith((b"[command]", b"+ ", b"++ ", b"+++ ")):
            return
        step = self.steps[-1]
        if body.startswith(b"Command completed after "):
            # The retry action's word for an attempt that succeeded: what failed before it is over.
            step.kept.clear()
            step.marks.clear()
            return
        numbers = self._matcher.fitting(body)
        rules = [number for number in numbers if number < len(self._matcher.rules)]
        if len(rules) < len(numbers):
            step.marks.append((self._line, EVENTS[numbers[-1] - len(self._matcher.rules)] == "open"))
        if rules:
            before = window[max(0, start - _AROUND // 2) : max(0, start - 1)]
            after = window[end + 1 : end + 1 + _AROUND // 2]
            for number in rules:
                hit = Hit(number, self._line, body, before, after)
                step.kept.setdefault(number, Kept()).add(hit)

    def _structure(self, window: bytes, start: int, line: Line) -> bool:
        """Follows groups and steps; True when the line says nothing else."""
        body, at = line.body, line.at
        if body.startswith(b"##[group]"):
            self._framed = True
            if body.startswith(b"##[group]Run "):
                self._begin(Step(shown(body[13:]), self._line, at))
                self._echo_until = self._line + _LONGEST_ECHO
            return True
        if body.startswith(b"##[endgroup]"):
            self._echo_until = 0
            return True
        if body.startswith((b"Post job cleanup.", b"Cleaning up orphan processes")):
            self._echo_until = 0
            self._begin(Step(shown(body), self._line, at, post=True))
            return True
        if body.startswith(b"##[error]") and self._line >= self._echo_until:
            step = self.steps[-1]
            if not step.errors:
                step.error_at = at
                before = [
                    parse(raw) for raw in window[max(0, start - _AROUND // 2) : max(0, start - 1)].split(b"\n")[-3:]
                ]
                step.tail = [(self._line - len(before) + at, line.body) for at, line in enumerate(before)]
                if at is not None and before[-1].at is not None:
                    step.quiet_s = (at - before[-1].at).total_seconds()
            if len(step.errors) < 50:
                step.errors.append((self._line, body[9:]))
        return False

    def _begin(self, step: Step) -> None:
        self.steps.append(step)
        if len(self.steps) > _MOST_STEPS:
            gone = next((at for at, old in enumerate(self.steps[:-2]) if not old.errors), 0)
            del self.steps[gone]


def _windows(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Stretches of whole lines without colours, each with a little before and after it.

    A line longer than LINE_CAP is cut, and the rest of it passed over.
    """
    window, start = b"", 0
    for lines in _whole_lines(_pieces(chunks)):
        window += without_colours(lines)
        end = window.rfind(b"\n", 0, max(0, len(window) - _AROUND)) + 1
        if end > start:
            yield window, start, end
            keep = max(0, end - _AROUND)
            window, start = window[keep:], end - keep
    yield window, start, len(window)


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for at in range(0, len(chunk), _PIECE):
            yield chunk[at : at + _PIECE] if len(chunk) > _PIECE else chunk


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest, cutting = b"", False
    for piece in pieces:
        if cutting:
            at = piece.find(b"\n")
            if at < 0:
                continue
            piece, cutting = piece[at:], False
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield rest + piece[:cut]
            rest = b""
        rest += piece[cut:]
        if len(rest) > LINE_CAP:
            rest, cutting = rest[:LINE_CAP], True
    if rest:
        yield rest
