"""What became of a webhook delivery (interfaces.md section 6)."""

from enum import StrEnum


class DeliveryState(StrEnum):
    STORED = "stored"
    """Here, and not applied yet."""
    APPLIED = "applied"
    IGNORED = "ignored"
    FAILED = "failed"
    """Applying it failed in us, again and again."""
    NEVER_SEEN = "never_seen"
    """GitHub made it, no try of it succeeded, and it is not here."""
    REQUESTED = "requested"
    """The same, and GitHub took our request to send it again."""


NOT_HERE = frozenset({DeliveryState.NEVER_SEEN.value, DeliveryState.REQUESTED.value})
"""States of deliveries that we only know of from GitHub's log: their bodies never came."""
