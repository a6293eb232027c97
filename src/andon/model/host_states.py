"""Hosts and slots: what we intend with them, and what we see of them (law 1: two columns)."""

from datetime import timedelta
from enum import StrEnum

from andon.model.machine import Deadline, Machine


class Intent(StrEnum):
    """What is wanted of a host or of a slot."""

    OPEN = "open"
    CORDONED = "cordoned"
    """No new claims, by a person's word or while the host's clock is wrong."""
    DRAINING = "draining"
    """Cordoned, and something follows once it is idle."""
    QUARANTINED = "quarantined"
    """Cordoned by evidence; a probe leads out."""


class HostObserved(StrEnum):
    """What we see of a host. Silent is not down: an unreachable host may run its jobs (R35)."""

    UNKNOWN = "unknown"
    REPORTING = "reporting"
    SILENT = "silent"


SILENT_AFTER = timedelta(seconds=45)
"""A host that has not spoken for this long is silent (interfaces.md section 10)."""

_I, _H = Intent, HostObserved

INTENTS = Machine[Intent](
    noun="intent",
    initial=frozenset({_I.OPEN}),
    # A host is taken away by `andon host remove`, not by reaching a last state; "open" is at rest.
    terminal=frozenset(),
    edges={
        **{(here, "cordon"): _I.CORDONED for here in (_I.OPEN, _I.DRAINING, _I.CORDONED)},
        **{(here, "drain"): _I.DRAINING for here in (_I.OPEN, _I.CORDONED, _I.DRAINING)},
        **{(here, "quarantine"): _I.QUARANTINED for here in Intent},
        **{(here, "uncordon"): _I.OPEN for here in (_I.CORDONED, _I.DRAINING)},
        (_I.DRAINING, "drained"): _I.CORDONED,
        (_I.QUARANTINED, "release"): _I.OPEN,
    },
    deadlines={
        _I.OPEN: Deadline(limit=None, text="none: at rest", consequence="none; the host serves", owner="operator"),
        _I.CORDONED: Deadline(
            limit=None,
            text="none: a person's decision",
            consequence="shown on the board with its reason until uncordoned",
            owner="operator",
        ),
        _I.DRAINING: Deadline(
            limit=None,
            text="its --until",
            consequence="cordoned; running jobs go on (R25)",
            owner="operator",
        ),
        _I.QUARANTINED: Deadline(
            limit=timedelta(hours=24),
            text="24 h",
            consequence="announced again to its owner; a passed probe releases it",
            owner="loop:hosts",
        ),
    },
)

HOSTS = Machine[HostObserved](
    noun="host",
    initial=frozenset({_H.UNKNOWN}),
    terminal=frozenset(),
    edges={
        (_H.UNKNOWN, "reported"): _H.REPORTING,
        (_H.REPORTING, "reported"): _H.REPORTING,
        (_H.SILENT, "reported"): _H.REPORTING,
        (_H.REPORTING, "fell_silent"): _H.SILENT,
    },
    deadlines={
        _H.UNKNOWN: Deadline(
            limit=SILENT_AFTER,
            text="45 s after enrolment",
            consequence="shown as never heard of; no capacity",
            owner="loop:hosts",
        ),
        _H.REPORTING: Deadline(
            limit=SILENT_AFTER,
            text="45 s without a report",
            consequence="silent: its slots are unknown and no capacity",
            owner="loop:hosts",
        ),
        _H.SILENT: Deadline(
            limit=timedelta(hours=24),
            text="24 h",
            consequence="announced again to its owner",
            owner="loop:hosts",
        ),
    },
)
