"""What is left of a quota at GitHub: told by the calls, kept in the store, shown on the board (R8)."""

from datetime import datetime

import msgspec

NO_TOKEN = "none"
"""Instead of a bucket's name: there is no credential for this owner."""


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """The quota of one credential and resource at one moment (R8)."""

    account: str
    """"token", "app 12" or "installation 34"; "owner acme" where there is none for an owner."""
    resource: str
    """GitHub's name of the bucket: "core", "graphql" ...; NO_TOKEN where there is none."""
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
