"""What `andon doctor` says: a check is fine, has findings, has nothing to look at, or
cannot tell, and then says why.

Pure: facts are gathered by the `doctor` room; each `doctor_*` file here judges one kind of them.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How bad a finding is."""

    PROBLEM = "problem"
    """Something does not work, or will soon not."""
    WARNING = "warning"
    """It works, and less well or less safely than it should."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    id: str
    """Stable, as `hook.events`."""
    severity: Severity = Severity.PROBLEM
    what: str
    """One sentence: what is wrong, and where."""
    do: str
    """What to do about it."""


class State(StrEnum):
    """How a check ended."""

    FINE = "fine"
    FOUND = "found"
    UNKNOWN = "unknown"
    """It could not be evaluated; the note says why."""
    SKIPPED = "skipped"
    """There is nothing of that kind to look at."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check with what it found."""

    name: str
    state: State
    note: str
    """What was looked at, or why it could not be."""
    findings: tuple[Finding, ...] = ()
    partly: str | None = None
    """A look that failed, although the rest was judged: without findings the check cannot tell."""
    caveat: str | None = None
    """What this check never sees, however well it goes: it stays fine."""


def judged(
    name: str, note: str, findings: Iterable[Finding], *, partly: str | None = None, caveat: str | None = None
) -> Check:
    """A check that was carried out: fine without findings, unless a look failed (`partly`)."""
    found = tuple(findings)
    if not found and partly is not None:
        return Check(name=name, state=State.UNKNOWN, note=partly, partly=partly, caveat=caveat)
    state = State.FOUND if found else State.FINE
    return Check(name=name, state=state, note=note, findings=found, partly=partly, caveat=caveat)


def unknown(name: str, why: str) -> Check:
    """A check that could not be carried out."""
    return Check(name=name, state=State.UNKNOWN, note=why)


def skipped(name: str, why: str) -> Check:
    """A check that has nothing to look at in this fleet."""
    return Check(name=name, state=State.SKIPPED, note=why)


def exit_code(checks: Iterable[Check]) -> int:
    """1 with a finding, else 2 when something could not be evaluated, else 0 (R90)."""
    states = {check.state for check in checks}
    if State.FOUND in states:
        return 1
    return 2 if State.UNKNOWN in states else 0
