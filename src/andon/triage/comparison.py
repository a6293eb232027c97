"""One signature over units and branches: the host's, the branch's, or a service's.

The fifth step of triage-facts.md section 2.1.
Pure, for the healing loop: it says what a window of failures looks like, and never overrules a log that speaks of
code.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

Pattern = Literal["unit", "branch", "outage", "line", "too_few"]
LEAST_FAILURES = 3


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One failed job: its signature, the unit it ran on, its branch and head, its family."""

    signature: str
    unit: str
    branch: str
    head: str
    family: str


class Passing(msgspec.Struct, frozen=True, kw_only=True):
    """A job of the same name that passed meanwhile."""

    unit: str
    branch: str


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What the failures of one signature have in common.

    `unit`: one unit, several branches, others pass. `branch`: one branch, several units. `outage`: infrastructure
    on many units and branches. `line`: the same code failure on many heads (R96). `too_few`: cannot tell yet.
    """

    signature: str
    pattern: Pattern
    units: tuple[str, ...]
    branches: tuple[str, ...]
    heads: tuple[str, ...]


def compare(failures: Sequence[Failure], passing: Sequence[Passing] = ()) -> list[Compared]:
    """One answer for each signature, in order of their first failure."""
    by_signature: dict[str, list[Failure]] = {}
    for failure in failures:
        if failure.signature:
            by_signature.setdefault(failure.signature, []).append(failure)
    return [_compared(signature, members, passing) for signature, members in by_signature.items()]


def _compared(signature: str, members: Sequence[Failure], passing: Sequence[Passing]) -> Compared:
    units = tuple(dict.fromkeys(failure.unit for failure in members))
    branches = tuple(dict.fromkeys(failure.branch for failure in members))
    heads = tuple(dict.fromkeys(failure.head for failure in members))
    return Compared(
        signature=signature,
        pattern=_pattern(members, units, branches, heads, passing),
        units=units,
        branches=branches,
        heads=heads,
    )


def _pattern(
    members: Sequence[Failure],
    units: Sequence[str],
    branches: Sequence[str],
    heads: Sequence[str],
    passing: Sequence[Passing],
) -> Pattern:
    if len(members) < LEAST_FAILURES and not (len(units) == 1 and len(branches) > 1):
        return "too_few"
    if len(units) == 1 and len(branches) > 1:
        # Somewhere else it has to pass: with one unit in use, every failure is on it.
        elsewhere = any(item.unit != units[0] for item in passing)
        here = any(item.unit == units[0] for item in passing)
        return "unit" if elsewhere and not here else "too_few"
    if len(branches) == 1:
        return "branch" if len(units) > 1 else "too_few"
    if all(failure.family == "code" for failure in members):
        return "line" if len(heads) >= LEAST_FAILURES else "too_few"
    return "outage" if len(units) >= LEAST_FAILURES else "too_few"
