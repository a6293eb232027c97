"""What the outside sees of a budget: the board's line, and what the sweep stretches its period by."""

from datetime import datetime

import msgspec


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """The quota of one credential and resource at one moment (R8)."""

    account: str
    """"token", "app 12" or "installation 34"."""
    resource: str
    """GitHub's name of the bucket: "core", "graphql" ..."""
    owners: tuple[str, ...]
    """Logins served by this credential so far."""
    limit: int | None
    """Calls in a window by GitHub's word; None: it has named none."""
    remaining: int | None
    """Of these, left for everybody who uses the credential; calls under way are taken off."""
    reserve: int
    """Left alone by us: `100 - budget_percent` of the limit."""
    resets_at: datetime | None
    used: int
    """Calls of ours that counted, in this window."""
    refused: int
    """Calls that we did not send, in this window."""
    degraded: str | None
    """One sentence about what waits, and why; None: all is well."""
    until: datetime | None
    """When that ends by what is known now."""
    held: bool = False
    """Nothing at all is sent with this credential before `until`."""
