"""One thing outside the agent's root that may go by the rule that it was declared with."""

from pathlib import Path

import msgspec

from andon.model.disk import PathClass
from andon.rules.disk_plan import Rank

Identity = tuple[int, int]
"""Device and inode."""


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """A directory or a plain file; of images the folder of their engine."""

    id: str
    path: Path
    identity: Identity
    home: Path
    """The folder that was declared: where our own trash is on another filesystem, there is one in it."""
    rank: Rank
    path_class: PathClass
    owner: str
    """Whose it is, in words."""
    why: str
    """Why it may go, in words."""
    uid: int
    """The user it belongs to."""
    bytes: int | None
    used_at: float
    """When it was last used, in seconds of the day's time; only for who goes first."""
    around: Path | None = None
    """The folder above it that a container of its user mounts as a whole."""
