"""What a state machine is: edges as data, a deadline for every state that is not the last one.

The tables themselves stand beside this file, one noun a file. Everything that may happen to an
entity stands in its table; code that moves one asks `Machine.advance` (design.md, the road).
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

S = TypeVar("S", bound=StrEnum)


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """How long an entity may stay in a state, what follows then, and who sees to it (R13)."""

    limit: timedelta | None
    """None: the limit is the entity's own, and `text` says which."""
    text: str
    """The limit as people read it."""
    consequence: str
    owner: str
    """The loop, rule or program that acts when the limit has passed."""


class Rejected(msgspec.Struct, frozen=True):
    """A move that the table does not know; nothing changed. Not an error: late news is normal."""

    state: str
    event: str
    reason: str


class Machine(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """One noun's states: where it starts, where it may go on which event, and by when."""

    noun: str
    initial: frozenset[S]
    terminal: frozenset[S]
    edges: Mapping[tuple[S, str], S]
    """(state, event) -> state. A missing pair is Rejected."""
    deadlines: Mapping[S, Deadline]

    def advance(self, state: S, event: str) -> "S | Rejected":
        """The state after `event`, or why there is none."""
        after = self.edges.get((state, event))
        if after is not None:
            return after
        reason = "the state is final" if state in self.terminal else "the table has no such edge"
        return Rejected(state, event, reason)

    def limit(self, state: S) -> timedelta:
        """How long an entity may stay in `state`. Raises KeyError where the table gives no number."""
        limit = self.deadlines[state].limit
        if limit is None:
            raise KeyError(f"{self.noun} {state.value} has no limit of its own")
        return limit

    def events(self) -> frozenset[str]:
        """Every event that the table knows."""
        return frozenset(event for _, event in self.edges)
