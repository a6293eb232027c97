"""Failures that no rule knows, put together by what is left of their lines without numbers and names.

What costs most stands first: minutes lost, over all failures of a group (triage-facts.md section 2.5).
"""

from collections.abc import Sequence

import msgspec

from andon.triage.templates import masked, signature

_MOST_EXAMPLES = 5


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """One unknown failure: the lines that its verdict shows, and the minutes it cost."""

    id: str
    lines: tuple[str, ...]
    cost_minutes: float = 1.0
    new: bool = False


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Failures of one template. `new`: none of them is older than what the caller calls new."""

    signature: str
    template: str
    ids: tuple[str, ...]
    cost_minutes: float
    examples: tuple[str, ...]
    new: bool


def group_unknown(failures: Sequence[Unknown]) -> list[Group]:
    """Groups, new ones first, then the dearest. A failure without a line is in none."""
    together: dict[bytes, list[tuple[Unknown, str]]] = {}
    for failure in failures:
        if line := telling(failure.lines):
            together.setdefault(masked(line.encode()), []).append((failure, line))
    groups = [
        Group(
            signature=signature("unknown", "", template),
            template=template.decode("utf-8", "replace"),
            ids=tuple(failure.id for failure, _ in members),
            cost_minutes=sum(failure.cost_minutes for failure, _ in members),
            examples=tuple(dict.fromkeys(line for _, line in members))[:_MOST_EXAMPLES],
            new=all(failure.new for failure, _ in members),
        )
        for template, members in together.items()
    ]
    return sorted(groups, key=lambda group: (not group.new, -group.cost_minutes, group.signature))


def telling(lines: Sequence[str]) -> str | None:
    """The line that says most: the last that speaks of an error, else the last."""
    words = ("error", "fail", "fatal", "cannot", "could not", "unable", "denied", "exception", "panic")
    speaking = [line for line in lines if any(word in line.lower() for word in words)]
    return (speaking or list(lines) or [None])[-1]
