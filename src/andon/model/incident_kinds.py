"""Every kind of incident as data: its code, title and severity, and how long its cause must stay away.

The codes are fixed (interfaces.md section 6). One incident is one cause on one subject, never one for
each thing that the cause touches (R36).
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

import msgspec


class Severity(StrEnum):
    PAGE = "page"
    """Somebody should look now: work stands still or is about to."""
    WARN = "warn"
    """Somebody should look today."""
    INFO = "info"
    """Worth knowing."""


class IncidentCode(StrEnum):
    FLEET_SILENT = "fleet.silent"
    HOST_SILENT = "host.silent"
    GITHUB_DOWN = "github.down"
    CONTROL_PLANE_ASLEEP = "controlplane.asleep"
    DISK_HARD = "disk.hard"
    DISK_PINNED = "disk.pinned"
    DISK_UNCLASSIFIED = "disk.unclassified"
    GUARD_FOREIGN = "guard.foreign"
    CACHE_THRASHING = "cache.thrashing"
    """Ours beside the fixed ones: R55 wants it told, and none of them says it."""
    UNIT_QUARANTINED = "unit.quarantined"
    DRIFT_FOUND = "drift.found"
    PROBE_FAILED = "probe.failed"
    BOOTSTRAP_STUCK = "bootstrap.stuck"
    RERUN_DIVERGED = "rerun.diverged"
    OUTAGE_SIGNATURE = "outage.signature"
    LINE_STOPPED = "line.stopped"
    LABEL_UNSERVED = "label.unserved"
    LABEL_THIN = "label.thin"
    REGISTRATION_STALE = "registration.stale"
    BASE_POISONED = "base.poisoned"
    TELEMETRY_ABSENT = "telemetry.absent"
    RAIL_CAPPED = "rail.capped"
    BYPASS_FOUND = "bypass.found"
    RUNNER_VERSION = "runner.version"


class IncidentKind(msgspec.Struct, frozen=True, kw_only=True):
    """What is common to all incidents of one code."""

    title: str
    severity: Severity
    quiet: timedelta
    """How long its cause must stay away before it is closed; a return before that is the same incident."""


def _kind(title: str, severity: Severity, minutes: float) -> IncidentKind:
    return IncidentKind(title=title, severity=severity, quiet=timedelta(minutes=minutes))


_C, _S = IncidentCode, Severity

KINDS: Mapping[IncidentCode, IncidentKind] = MappingProxyType(
    {
        # Hosts come back one after the other; GitHub's own outages flap for minutes.
        _C.FLEET_SILENT: _kind("No host reports", _S.PAGE, 2),
        _C.HOST_SILENT: _kind("A host does not report", _S.PAGE, 2),
        _C.GITHUB_DOWN: _kind("GitHub's API does not answer", _S.PAGE, 3),
        _C.CONTROL_PLANE_ASLEEP: _kind("The control plane was asleep or cut off", _S.WARN, 5),
        _C.DISK_HARD: _kind("A disk is at its hard limit", _S.PAGE, 5),
        _C.DISK_PINNED: _kind("Space on a disk cannot be freed", _S.WARN, 15),
        _C.DISK_UNCLASSIFIED: _kind("A disk holds bytes of unknown class", _S.WARN, 15),
        _C.GUARD_FOREIGN: _kind("Somebody else deletes below the agent's root", _S.WARN, 15),
        _C.CACHE_THRASHING: _kind("A compile cache is full and of little use", _S.WARN, 15),
        _C.UNIT_QUARANTINED: _kind("A unit is quarantined", _S.WARN, 5),
        _C.DRIFT_FOUND: _kind("Hosts of a pool differ", _S.WARN, 15),
        _C.PROBE_FAILED: _kind("A probe failed", _S.WARN, 5),
        _C.BOOTSTRAP_STUCK: _kind("A host's bootstrap fails again and again", _S.PAGE, 5),
        _C.RERUN_DIVERGED: _kind("A rerun gave another result", _S.INFO, 15),
        _C.OUTAGE_SIGNATURE: _kind("Many jobs fail alike", _S.PAGE, 15),
        _C.LINE_STOPPED: _kind("The line is stopped", _S.PAGE, 5),
        _C.LABEL_UNSERVED: _kind("Jobs ask for labels that no pool serves", _S.WARN, 5),
        _C.LABEL_THIN: _kind("Too few runners serve a label", _S.WARN, 15),
        _C.REGISTRATION_STALE: _kind("Registrations at GitHub have no process", _S.WARN, 15),
        _C.BASE_POISONED: _kind("A base is poisoned", _S.WARN, 15),
        _C.TELEMETRY_ABSENT: _kind("Facts that decisions need do not come", _S.WARN, 15),
        _C.RAIL_CAPPED: _kind("A rail reached its cap", _S.WARN, 15),
        _C.BYPASS_FOUND: _kind("A merge went past the checks", _S.WARN, 15),
        _C.RUNNER_VERSION: _kind("A runner version stops getting jobs", _S.WARN, 15),
    }
)
