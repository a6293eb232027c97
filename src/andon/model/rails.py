"""Rails: every automatic act runs on one, with a mode of its own (law 7, interfaces.md section 6)."""

from enum import StrEnum


class Rail(StrEnum):
    """The kinds of automatic acts that can be switched between acting and observing."""

    DISPATCH = "dispatch"
    RESCUE = "rescue"
    REGISTRATIONS = "registrations"
    RERUN = "rerun"
    QUARANTINE = "quarantine"
    GUARD = "guard"
    DRAIN = "drain"
    BOOTSTRAP = "bootstrap"
    TRACKER = "tracker"
    COMMENTS = "comments"
    PROBES = "probes"
    UPGRADE = "upgrade"
