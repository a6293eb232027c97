"""What changes nothing for a person changes no verdict: colours, line ends, prefixes, other times."""

import re
from collections.abc import Callable

import pytest

from andon.model.verdict import Verdict
from andon.sim.bench.triage_cases import cases
from andon.sim.bench.triage_wrap import wrap
from tests.triage.judging import judged

_TIME = re.compile(r"(?m)^\ufeff?\d{4}-\S+Z ")


def _other_times(text: str) -> str:
    return _TIME.sub("2031-01-02T03:04:05.0000007Z ", text)


CHANGES: dict[str, Callable[[str], str]] = {
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "red lines": lambda text: "\n".join(f"\x1b[31m{line}\x1b[0m" for line in text.split("\n")),
    "a container's prefix": lambda text: "\n".join(
        line if "##[" in line or "Post job" in line or "Cleaning up" in line else _after_time(line, "app-1  | ")
        for line in text.split("\n")
    ),
    "other times": _other_times,
    "no times": lambda text: _TIME.sub("", text),
    "job and step before each line": lambda text: "\n".join(f"test\tRun make ci\t{line}" for line in text.split("\n")),
    "two more lines in front": lambda text: "first\nsecond\n" + text,
    "a docker run in front": lambda text: text.replace(
        "HEAD is now at", "+ docker run --rm -v /a:/b image make\nHEAD is now at"
    ),
}


def _after_time(line: str, prefix: str) -> str:
    found = _TIME.match(line)
    at = found.end() if found else 0
    return line[:at] + prefix + line[at:]


def _said(verdict: Verdict) -> tuple[str, str, bool]:
    return verdict.family, verdict.kind, verdict.rerun


@pytest.mark.parametrize("name", CHANGES)
def test_no_verdict_changes(name: str) -> None:
    changed: list[str] = []
    for number, case in enumerate(cases()):
        text = wrap(case.text, number).text
        if _said(judged(CHANGES[name](text))) != _said(judged(text)):
            changed.append(case.id)
    assert changed == []
