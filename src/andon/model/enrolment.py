"""Tokens by which hosts are let in (design.md section 8), and how far a host's clock may be off.

A token's beginning says what it is, so that each end can say what is wrong with it.
"""

from datetime import timedelta
from enum import StrEnum

HOST_TOKEN_MARK = "aht_"
"""Begins every host token: one host's own, until it is revoked."""
ONE_USE_MARK = "aot_"
"""Begins every one-use token that `andon host add` makes; it is exchanged for a host token."""
ONE_USE_LIFE = timedelta(minutes=15)
"""How long a one-use token can be used (interfaces.md section 2)."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""A host whose clock is further off is refused at enrolment, and cordoned later (interfaces.md 10)."""


class TokenState(StrEnum):
    """What became of a token that opens no sync."""

    GRANTED = "granted"
    """A one-use token that waits for its host."""
    SPENT = "spent"
    """A one-use token that was exchanged."""
    REPLACED = "replaced"
    """A newer token took its place."""
    REVOKED = "revoked"
    """The host was removed."""
