"""The runner's `.env`, edited as bytes: every line that is not ours stays as it is.

The runner reads it line by line at its start: `NAME=value` without quoting or comments, the last
line of a name wins, an empty value takes the variable away (its `LoadAndSetEnv`).
"""

import re
from collections.abc import Mapping

from andon.runtime.errors import Refused

STARTED = b"ACTIONS_RUNNER_HOOK_JOB_STARTED"
COMPLETED = b"ACTIONS_RUNNER_HOOK_JOB_COMPLETED"
HOOK_NAMES: Mapping[str, bytes] = {"started": STARTED, "completed": COMPLETED}

_UTF8_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n|\Z)")


class _Line:
    """One line: what stands before it (a byte order mark), its text and its end."""

    def __init__(self, mark: bytes, text: bytes, end: bytes) -> None:
        self.mark, self.text, self.end = mark, text, end

    @property
    def name(self) -> bytes | None:
        name, sign, _ = self.text.partition(b"=")
        return name if sign and name else None

    @property
    def value(self) -> bytes | None:
        return self.text.partition(b"=")[2] or None


def _lines(content: bytes) -> list[_Line]:
    mark = _UTF8_MARK if content.startswith(_UTF8_MARK) else b""
    found = [_Line(b"", match[1], match[2]) for match in _LINE.finditer(content[len(mark) :])]
    # The search also finds the nothing behind the last line's end.
    if found and not found[-1].text and not found[-1].end:
        found.pop()
    if mark:
        if not found:
            found.append(_Line(b"", b"", b""))
        found[0].mark = mark
    return found


def _joined(lines: list[_Line]) -> bytes:
    return b"".join(line.mark + line.text + line.end for line in lines)


def check_encoding(content: bytes) -> None:
    """Raises Refused for a file that the runner would read as UTF-16 or UTF-32."""
    if content.startswith(_WIDE_MARKS):
        raise Refused("its .env is written in UTF-16 or UTF-32. Write it in UTF-8, and adopt again.")


def values_in(content: bytes) -> dict[bytes, bytes | None]:
    """What the runner takes from the file. None: the variable is taken away."""
    return {line.name: line.value for line in _lines(content) if line.name is not None}


def with_values(content: bytes, values: Mapping[bytes, bytes]) -> bytes:
    """The file with `values` set: in the last line that has the name, else in a new line at the end.

    Done twice it changes nothing more. A missing line end at the file's end stays missing.
    """
    lines = _lines(content)
    for name, value in values.items():
        text = name + b"=" + value
        there = [line for line in lines if line.name == name]
        if there:
            there[-1].text = text
            continue
        end = next((line.end for line in reversed(lines) if line.end), b"\n")
        if not lines:
            lines.append(_Line(b"", text, end))
        elif not lines[-1].end:
            open_line = lines[-1]
            if open_line.text:
                open_line.end = end
                lines.append(_Line(b"", text, b""))
            else:
                open_line.text = text
        else:
            lines.append(_Line(b"", text, end))
    return _joined(lines)


def without_values(content: bytes, values: Mapping[bytes, bytes], before: bytes) -> bytes:
    """The file without those lines that set exactly `values`, for a file that others edited since.

    Where the file `before` had a line of that name, its last one comes back in the place of ours.
    """
    old = {line.name: line.text for line in _lines(before) if line.name is not None}
    kept: list[_Line] = []
    for line in _lines(content):
        name = line.name
        if name is None or name not in values or line.text != name + b"=" + values[name]:
            kept.append(line)
        elif name in old:
            line.text = old[name]
            kept.append(line)
        elif line.mark:
            line.text = line.end = b""
            kept.append(line)
    return _joined(kept)
