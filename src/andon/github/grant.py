"""A token as it is handed to one call, and what carries the calls that getting one takes."""

from datetime import datetime
from typing import Protocol

import msgspec

from andon.github.call import Call
from andon.github.outcomes import Failed, Got


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A token, whose quota it uses, and which one of that account's tokens it is."""

    token: str
    """A secret of any length; empty: none is sent."""
    account: str
    """Whose quota: "token", "app 12", "installation 34"."""
    generation: int
    """Grows with each new token of the account: ETags of an older one are of no use."""

    def __repr__(self) -> str:
        return f"Grant(account={self.account!r}, generation={self.generation})"


class Caller(Protocol):
    """The transport, as the App's own calls use it."""

    async def send(self, call: Call) -> Got | Failed:
        """Carries out a call; those about the App itself have no owner."""
        ...

    def github_now(self) -> datetime:
        """GitHub's time, as far as its answers have told; ours before."""
        ...
