"""What a host tells of the compile caches that it keeps for its jobs (R55, incidents.md P7)."""

from typing import Annotated

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class CacheReport(msgspec.Struct, frozen=True, kw_only=True):
    """One cache: who shares it, how full it is, and whether it is worth its room."""

    program: str
    """Whose cache it is: `sccache`."""
    owner: str
    """The owner of the repositories whose jobs share it."""
    user: str
    """The user whose jobs share it."""
    cap: _Count
    """Bytes. The host's agent alone sets it."""
    size: _Count | None = None
    """Bytes; None: its server has not told yet."""
    hits: _Count = 0
    misses: _Count = 0
    """Look-ups of the last `window_s` seconds."""
    window_s: _Count = 0
    trouble: str | None = None
    """Why jobs do without it at present, one sentence; None: it serves."""

    @property
    def name(self) -> str:
        """What it is called among the caches of one host."""
        return f"{self.program}/{self.owner}/{self.user}"
