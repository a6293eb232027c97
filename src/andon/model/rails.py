"""Rails: every automatic act runs on one, with a mode of its own (law 7, interfaces.md section 6)."""

from enum import StrEnum
from typing import Literal

RailMode = Literal["act", "observe", "off"]
"""What a rail may do: act; journal each act as "would"; or nothing at all."""


class Rail(StrEnum):
    """The kinds of automatic acts that can be switched between acting and observing."""

    DISPATCH = "dispatch"
    RESCUE = "rescue"
    REGISTRATIONS = "registrations"
    REDELIVERY = "redelivery"
    RERUN = "rerun"
    QUARANTINE = "quarantine"
    GUARD = "guard"
    DRAIN = "drain"
    BOOTSTRAP = "bootstrap"
    TRACKER = "tracker"
    COMMENTS = "comments"
    PROBES = "probes"
    UPGRADE = "upgrade"
