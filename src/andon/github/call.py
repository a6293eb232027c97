"""One call to GitHub as data: what is asked, with whose credential, and how urgent it is.

The topic files (`runner_calls`, `run_calls` ...) make calls; the transport carries them out.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import msgspec

from andon.github.outcomes import Failed, Got

MAX_BYTES = 32 * 2**20
"""The largest answer that is read whole; a list of 100 runs is below 2 MB."""
MAX_LOG_BYTES = 2**30
"""The most that is read of a log, piece by piece."""


class Priority(StrEnum):
    """Who goes first when the budget runs out (limits.md 3): each stops at a higher floor."""

    ACT = "act"
    """Something that was decided: minting, removing, rerunning. Only the reserve stops it."""
    LOOKUP = "lookup"
    """A question about one thing that something waits for."""
    SWEEP = "sweep"
    """Reading lists because time has passed."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    method: str
    path: str
    """Below the API's address, names already quoted."""
    endpoint: str
    """Its name in metrics and in the budget: the method and the path's template, no names or ids."""
    owner: str | None
    """Whose credential carries it; None: the App itself."""
    query: dict[str, str] = {}
    body: bytes | None = None
    priority: Priority = Priority.LOOKUP
    conditional: bool = False
    """Asked with the kept answer's ETag; an answer "not modified" costs nothing and gives the kept body."""
    creates_content: bool = False
    """Issues, comments, check runs ...: GitHub counts these apart (contract section 5)."""
    graphql: bool = False
    """Errors stand in the body, and the quota is another one."""
    elsewhere: bool = False
    """May be answered with the address of another server (logs): followed, without our token."""
    max_bytes: int = MAX_BYTES


Sink = Callable[[bytes], object]
"""Takes a body piece by piece instead of keeping it whole."""


class Sender(Protocol):
    """What carries calls out."""

    async def send(self, call: Call, *, sink: Sink | None = None) -> Got | Failed: ...
