"""What each class of failure leads to: one table for every call (R8).

The transport and the acts read it; a test goes through every row. No row reads a failure as
"nothing is there".
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from andon.github.outcomes import FailureClass


class Retry(StrEnum):
    """When the same thing is tried again."""

    AT_UNTIL = "at_until"
    """At the time that GitHub named, not before."""
    BACKOFF = "backoff"
    """After a growing pause, at most a few times for one piece of work."""
    AFTER_CHANGE = "after_change"
    """When somebody has changed something at GitHub; asked again slowly, to notice."""
    AFTER_LOOK = "after_look"
    """After a look at what is there: the state forbids the act as it is."""
    NEVER = "never"
    """Not for this piece of work."""


class Pauses(StrEnum):
    """What is left alone meanwhile."""

    CREDENTIAL = "credential"
    """Every call with this credential."""
    OWNER = "owner"
    """New runners for everything of the owner."""
    WORK = "work"
    """New runners for this repository in this pool."""
    NOTHING = "nothing"


class ReadAs(StrEnum):
    """What a reader may take from it."""

    UNKNOWN = "unknown"
    """Nothing: what was known stands."""
    NOT_SEEN = "not_seen"
    """One reading that did not show it; absent, or not ours to see. Not evidence by itself (law 4)."""
    THERE = "there"
    """It exists, in a state that forbids the act."""
    REFUSED = "refused"
    """GitHub understood and will not."""


class Shown(StrEnum):
    """Where somebody reads of it, beside the count of calls by status."""

    COUNT = "count"
    """Nowhere else: it passes by itself."""
    BOARD = "board"
    """The budget's line says that we are degraded, why, and until when."""
    PAUSE = "pause"
    """The owner's or the work's pause in the journal carries GitHub's sentence."""
    JOURNAL = "journal"
    """The act's own result."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One row."""

    retry: Retry
    pauses: Pauses
    read_as: ReadAs
    shown: Shown
    drops_token: bool = False
    """The token is thrown away, and the call tried once more if a new one can be had."""
    may_have_happened: bool = False
    """A write may have been carried out: it is looked for before it is done again."""


EFFECTS: Mapping[FailureClass, Effect] = MappingProxyType(
    {
        FailureClass.RETRY_LATER: Effect(
            retry=Retry.BACKOFF,
            pauses=Pauses.OWNER,
            read_as=ReadAs.UNKNOWN,
            shown=Shown.PAUSE,
            may_have_happened=True,
        ),
        FailureClass.RATE_LIMITED: Effect(
            retry=Retry.AT_UNTIL, pauses=Pauses.CREDENTIAL, read_as=ReadAs.UNKNOWN, shown=Shown.BOARD
        ),
        FailureClass.UNAUTHORISED: Effect(
            retry=Retry.AFTER_CHANGE,
            pauses=Pauses.CREDENTIAL,
            read_as=ReadAs.UNKNOWN,
            shown=Shown.BOARD,
            drops_token=True,
        ),
        FailureClass.FORBIDDEN: Effect(
            retry=Retry.AFTER_CHANGE, pauses=Pauses.WORK, read_as=ReadAs.REFUSED, shown=Shown.PAUSE
        ),
        FailureClass.GONE: Effect(retry=Retry.NEVER, pauses=Pauses.WORK, read_as=ReadAs.NOT_SEEN, shown=Shown.PAUSE),
        FailureClass.CONFLICT: Effect(
            retry=Retry.AFTER_LOOK, pauses=Pauses.NOTHING, read_as=ReadAs.THERE, shown=Shown.JOURNAL
        ),
        FailureClass.INVALID: Effect(retry=Retry.NEVER, pauses=Pauses.WORK, read_as=ReadAs.REFUSED, shown=Shown.PAUSE),
        FailureClass.MALFORMED: Effect(
            retry=Retry.BACKOFF,
            pauses=Pauses.OWNER,
            read_as=ReadAs.UNKNOWN,
            shown=Shown.PAUSE,
            may_have_happened=True,
        ),
        FailureClass.BUG: Effect(retry=Retry.NEVER, pauses=Pauses.WORK, read_as=ReadAs.UNKNOWN, shown=Shown.PAUSE),
    }
)
"""Every class has its row. For a 5xx or a rate limit that names a time, nothing is sent before it."""
