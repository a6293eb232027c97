"""What the agent itself remembers of an adopted runner over a restart (`seen.json`)."""

from pathlib import Path

import msgspec

from andon.runtime.files import write_atomically


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Three facts; a file that cannot be read means none of them."""

    listened: bool = False
    """Its listener has run since the adoption: from then on it is kept running."""
    jit: bool = False
    """Its listener was stopped for good: its folder is the source of a JIT slot."""
    held: str | None = None
    """Why its listener is to be stopped, as last heard; until the control plane says otherwise it stays so."""


def read_seen(folder: Path) -> Seen:
    """What `folder` remembers."""
    try:
        return msgspec.json.decode((folder / "seen.json").read_bytes(), type=Seen)
    except (OSError, msgspec.MsgspecError):
        return Seen()


def write_seen(folder: Path, seen: Seen) -> None:
    """Replaces it. Raises OSError."""
    write_atomically(folder / "seen.json", msgspec.json.encode(seen), mode=0o600)
