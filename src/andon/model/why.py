"""The answer to "why does this job wait?" (interfaces.md section 6); `rules.why` gives it."""

from datetime import datetime
from typing import Any

import msgspec


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """The one answer (interfaces.md section 6)."""

    job: int
    cause: str
    text: str
    facts: dict[str, Any]
    until: str
    """The event that can change it."""
    position: int | None = None
    releases_at_most: int | None = None
    expected_s: tuple[float, float] | None = None
    since: datetime | None = None
