"""A verdict: what triage says of a failed job, with the lines it stands on (interfaces.md section 8)."""

from typing import Literal

import msgspec

from andon.model.failure_kinds import Family, Fault

Confidence = Literal["confirmed", "likely", "suspected"]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the log, counted from 1 (0: not from the log), and the rule that spoke."""

    line: int
    text: str
    rule: str
    step: str | None = None


class Refuted(msgspec.Struct, frozen=True, kw_only=True):
    """Another reading that was looked at, and why it does not hold."""

    kind: str
    line: int
    why: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What failed and whose it is. `rerun`: one more attempt can help and no code failure speaks against it;
    the guards of R77 still decide. `signature` is equal for equal failures on other units and branches."""

    family: Family
    kind: str
    fault: Fault
    confidence: Confidence
    rerun: bool
    evidence: tuple[Evidence, ...] = ()
    events: tuple[str, ...] = ()
    refuted: tuple[Refuted, ...] = ()
    signature: str = ""
    remedy: str = ""
    better_with: str | None = None
