"""A rule of the catalogue, as it stands in a TOML file (triage-facts.md section 2.3)."""

from typing import Literal

import msgspec

from andon.model.failure_kinds import KINDS, Family, Fault


class Examples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whole excerpts: at least one line of each `match` fits the rule, no line of a `no_match` does."""

    match: tuple[str, ...]
    no_match: tuple[str, ...]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a line must hold to speak for a kind.

    `match` and `not_match` are RE2 patterns on the line without times and colours; `near` must match one of
    the lines around it. `weight` is how much the words alone prove: 90 nothing else prints this, 70 hardly
    anything else, 50 it also happens in passing jobs, 30 a symptom. `block`: whether it still counts inside
    the output of a failing test. `soft`: it counts though the line is a warning. `find` names texts of which
    every matching line holds one, where the pattern itself offers none. `alone`: it settles a log that
    shows no error of its own.
    """

    id: str
    kind: str
    match: str
    weight: int
    examples: Examples
    not_match: str | None = None
    near: str | None = None
    block: Literal["outside", "any"] = "outside"
    soft: bool = False
    alone: bool = False
    fault: Fault | None = None
    find: tuple[str, ...] = ()
    bug: str | None = None

    @property
    def family(self) -> Family:
        """Of its kind."""
        return KINDS[self.kind].family


class RuleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the catalogue, or of local rules."""

    rule: tuple[Rule, ...] = ()
