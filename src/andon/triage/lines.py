"""One line of a job's log without what stands before its text: GitHub's time, colours, prefixes of tools.

Bytes, since a log is hostile text of any encoding. Every pattern here is bounded, so its cost is linear.
"""

import re
from datetime import UTC, datetime

import msgspec

LINE_CAP = 8192
"""Bytes of a line that are looked at (triage-facts.md section 2.2)."""
TEXT_CAP = 500
"""Characters of a line that a verdict shows."""

_ESC = b"\x1b"
_ANSI = re.compile(rb"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b\n]{0,512}(?:\x07|\x1b\\)|[@-Z\\^_])")
_GITHUB_TIME = re.compile(
    rb"(?:[^\t\n]{1,200}\t[^\t\n]{1,200}\t)?(?:\xef\xbb\xbf)?"
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)(?: |$)"
)
_PREFIXES = re.compile(
    rb"(?:"
    rb"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?\]?:?[ \t]"
    rb"|\[?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]?[ \t]"
    rb"|#\d{1,4} (?:\d{1,6}\.\d{1,4} )?"
    rb"|[A-Za-z0-9][\w.-]{0,60}[ \t]{1,30}\| "
    rb"|\xef\xbb\xbf"
    rb")"
)


class Line(msgspec.Struct, frozen=True):
    """`body` is what the tool printed; `stamp` GitHub's time as it stands there."""

    body: bytes
    stamp: bytes | None

    @property
    def at(self) -> datetime | None:
        """GitHub's time; None where the log has none."""
        return None if self.stamp is None else _time(self.stamp)


def without_colours(text: bytes) -> bytes:
    """`text` without ANSI sequences."""
    return _ANSI.sub(b"", text) if _ESC in text else text


def parse(raw: bytes) -> Line:
    """A line, without its end, as the tool wrote it. Colours must be gone already."""
    text = raw[:LINE_CAP].rstrip(b"\r\n")
    if b"\r" in text:
        # A progress bar writes over itself: what stands there in the end counts.
        text = text[text.rfind(b"\r") + 1 :]
    stamp = None
    if found := _GITHUB_TIME.match(text):
        stamp = found[1]
        text = text[found.end() :]
    for _ in range(4):
        found = _PREFIXES.match(text)
        if found is None or found.end() == len(text):
            break
        text = text[found.end() :]
    return Line(text, stamp)


def shown(body: bytes) -> str:
    """A body as text for people: no control characters, at most TEXT_CAP characters."""
    text = body[: 4 * TEXT_CAP].decode("utf-8", "replace")
    return "".join(char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in text)[
        :TEXT_CAP
    ]


def _time(text: bytes) -> datetime | None:
    try:
        return datetime.fromisoformat(text.decode("ascii")).replace(tzinfo=UTC)
    except ValueError:
        return None
