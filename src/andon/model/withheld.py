"""Adopted runners that GitHub is kept from giving jobs to: what was taken from each, so that it can be given back."""

from datetime import datetime
from enum import StrEnum

import msgspec


class Stage(StrEnum):
    """How far it is."""

    TAKING = "taking"
    """Wanted, and not known to hold yet; calls may have been carried out."""
    TAKEN = "taken"
    """GitHub gives it no job that asks for anything but what every runner has."""
    LISTENER = "listener"
    """Neither labels nor group can do it: its agent stops its listener. Looked at again at `due_at`."""
    RETURNING = "returning"
    """The slot is open again; what was taken is to be given back."""


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """One adopted runner of a slot that is not open, or was not until just now."""

    host: str
    slot: int
    runner: str
    stage: Stage
    since: datetime
    """Of the stage."""
    due_at: datetime
    """When it is looked at next."""
    owner: str = ""
    repository: str = ""
    """Where it is registered, "owner/name"; empty: at the organisation."""
    runner_id: int | None = None
    """None: its registration was not looked up yet, and nothing was taken."""
    labels: tuple[str, ...] = ()
    """The custom labels that it carried; written down before any is taken off."""
    group_id: int | None = None
    """The runner group that it was in, when it was parked in another."""
    reason: str | None = None
    """Why the stage is what it is."""
