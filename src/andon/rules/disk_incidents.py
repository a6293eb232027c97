"""What hosts tell of their filesystems, as incidents (R52, R47, R49): a disk is short, nothing on it can go, it holds
what nobody knows, somebody else deletes.

Levels come from the host's guard, which leaves one only a third above its mark (`rules.disk_marks`); an incident
follows them, and adds no marks of its own. A silent host says nothing new: what is open stays, nothing opens (law 4).

Whoever is short is put aside by its own level: its agent takes no runner there, tells its slots as unavailable, and
opens them by itself when there is room again. No intent is changed, so that nothing has to be given back.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from andon.model.disk import DiskLevel, GuardPass, PathClass
from andon.model.incident_kinds import IncidentCode
from andon.model.nouns import KeptDisk
from andon.rules.liveness_fleet import Finding
from andon.rules.size_words import size

SUBJECT = "disk"
"""The kind of subject; its id is `HOST:MOUNT`, and no host's name has a colon."""
PINNED_AFTER = timedelta(minutes=10)
"""So long below the hard mark, and what is left there cannot go (host-facts.md 2.3)."""
FREED_NOTHING = 0.01
"""A pass that freed less than this part of a filesystem freed nothing."""
PASSES_IN_VAIN = 2
"""So many in a row: what one pass puts into the trash goes only with the next ones."""
UNCLASSIFIED = 0.05
"""The part of a filesystem that bytes of unknown class may hold; below `_LEFT` of it the alarm is over."""
_LEFT = 0.8
UNCLASSIFIED_AT_LEAST = 2**30
FOREIGN_FOR = timedelta(hours=1)
"""How long a foreign deletion keeps its incident open."""
_SHOWN = 20
"""Pinned directories, passes and foreign deletions that an incident names."""
_SHORT = frozenset({DiskLevel.HARD, DiskLevel.EMERGENCY})
CODES = frozenset(
    {
        IncidentCode.DISK_HARD,
        IncidentCode.DISK_PINNED,
        IncidentCode.DISK_UNCLASSIFIED,
        IncidentCode.GUARD_FOREIGN,
    }
)
"""What `disk_findings` opens and `disk_cleared` shows the end of."""


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """A deletion that was not ours."""

    host: str
    path: str
    told_at: datetime
    evidence: tuple[str, ...]


class DiskSituation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the verdicts on disks look at."""

    now: datetime
    disks: Sequence[KeptDisk] = ()
    reporting: frozenset[str] = frozenset()
    """Hosts that report."""
    known: frozenset[str] = frozenset()
    """Every host that is enrolled."""
    foreign: Sequence[Foreign] = ()
    """Told in the last `FOREIGN_FOR`, oldest first."""


def subject_of(disk: KeptDisk) -> str:
    """The id of a filesystem as the subject of an incident."""
    return f"{disk.host}:{disk.mount}"


def host_of(subject_id: str) -> str:
    """The host of such a subject."""
    return subject_id.partition(":")[0]


def disk_findings(at: DiskSituation) -> tuple[Finding, ...]:
    """Every verdict that holds."""
    made: list[Finding] = []
    for disk in at.disks:
        if disk.host not in at.reporting:
            continue
        if disk.level in _SHORT:
            made.append(_hard(disk))
            if _stays_full(disk, at.now):
                made.append(_pinned(disk))
        if _unclassified(disk) > _bound(disk):
            made.append(_unknown(disk))
    of_host: dict[str, list[Foreign]] = {}
    for each in at.foreign:
        of_host.setdefault(each.host, []).append(each)
    made += [_foreign(host, found) for host, found in sorted(of_host.items())]
    return tuple(made)


def disk_cleared(code: IncidentCode, subject_id: str, at: DiskSituation) -> str | None:
    """What shows that the cause of an open incident is gone; None: nothing does, and it stays as it is."""
    host = subject_id if code is IncidentCode.GUARD_FOREIGN else host_of(subject_id)
    if host not in at.known:
        return "the host was taken away"
    if host not in at.reporting:
        return None
    if code is IncidentCode.GUARD_FOREIGN:
        told = any(each.host == host for each in at.foreign)
        return None if told else "nothing under lease has vanished for an hour"
    disk = next((disk for disk in at.disks if subject_of(disk) == subject_id), None)
    if disk is None:
        return "the host tells of this filesystem no more"
    if code is IncidentCode.DISK_UNCLASSIFIED:
        unknown = next((each for each in disk.classes if each.path_class is PathClass.UNKNOWN), None)
        measured = unknown is None or unknown.bytes is not None
        below = measured and _unclassified(disk) <= _bound(disk) * _LEFT
        return f"{size(_unclassified(disk))} of unknown class are left" if below else None
    if disk.level in (DiskLevel.OK, DiskLevel.SOFT):
        return f"it has {_left(disk)} free again"
    return None


def _stays_full(disk: KeptDisk, now: datetime) -> bool:
    if disk.short_since is not None and now - disk.short_since >= PINNED_AFTER:
        return True
    last = _while_short(disk.passes)
    return len(last) >= PASSES_IN_VAIN and all(each.freed < FREED_NOTHING * disk.total for each in last)


def _while_short(passes: Iterable[GuardPass]) -> list[GuardPass]:
    """The newest passes in a row that were made while it was short."""
    found: list[GuardPass] = []
    for each in passes:
        if each.level not in _SHORT:
            break
        found.append(each)
    return found


def _unclassified(disk: KeptDisk) -> int:
    return sum(each.bytes or 0 for each in disk.classes if each.path_class is PathClass.UNKNOWN)


def _bound(disk: KeptDisk) -> float:
    return max(UNCLASSIFIED_AT_LEAST, UNCLASSIFIED * disk.total)


def _left(disk: KeptDisk) -> str:
    return f"{size(disk.free)} of {size(disk.total)}"


def _about(disk: KeptDisk) -> dict[str, object]:
    return {
        "mount": disk.mount,
        "total": disk.total,
        "free": disk.free,
        "inodes": disk.inodes,
        "inodes_free": disk.inodes_free,
        "level": disk.level.value,
        "full_in_s": disk.full_in_s,
        "slots": list(disk.slots),
        "classes": {each.path_class.value: each.bytes for each in disk.classes},
    }


def _of_disk(code: IncidentCode, disk: KeptDisk, title: str, more: dict[str, object]) -> Finding:
    return Finding(
        code=code,
        subject_kind=SUBJECT,
        subject_id=subject_of(disk),
        title=title,
        facts={**_about(disk), **more},
        hosts=(disk.host,),
    )


def _hard(disk: KeptDisk) -> Finding:
    mark = "emergency" if disk.level is DiskLevel.EMERGENCY else "hard"
    title = f"{disk.mount} of host {disk.host} is below its {mark} mark: {_left(disk)} are free"
    since = None if disk.short_since is None else disk.short_since.isoformat()
    return _of_disk(IncidentCode.DISK_HARD, disk, title, {"short_since": since})


def _pinned(disk: KeptDisk) -> Finding:
    largest = sorted(disk.pinned, key=lambda each: -(each.bytes or 0))
    held = sum(each.bytes or 0 for each in disk.pinned)
    what = "the guard names nothing that is used there, so what fills it is not its own"
    if len(disk.pinned) == 1:
        what = f"{largest[0].path} is in use: {largest[0].by}"
    elif disk.pinned:
        what = f"{len(disk.pinned)} directories of {size(held)} are in use, the largest {largest[0].path}"
    return _of_disk(
        IncidentCode.DISK_PINNED,
        disk,
        f"Nothing on {disk.mount} of host {disk.host} can go: {what}",
        {
            "pinned": [{"path": each.path, "bytes": each.bytes, "by": each.by} for each in largest[:_SHOWN]],
            "passes": [
                {"at": each.at.isoformat(), "removed": each.removed, "freed": each.freed}
                for each in disk.passes[:_SHOWN]
            ],
        },
    )


def _unknown(disk: KeptDisk) -> Finding:
    held = _unclassified(disk)
    title = f"{size(held)} on {disk.mount} of host {disk.host} are of no class that the guard knows"
    return _of_disk(IncidentCode.DISK_UNCLASSIFIED, disk, title, {"bound": int(_bound(disk))})


def _foreign(host: str, found: Sequence[Foreign]) -> Finding:
    last = found[-1]
    more = "" if len(found) == 1 else f", and {len(found) - 1} more in the last hour"
    title = f"Somebody else deleted {last.path} on host {host}{more}"
    return Finding(
        code=IncidentCode.GUARD_FOREIGN,
        subject_kind="host",
        subject_id=host,
        title=title,
        facts={
            "deletions": [
                {"path": each.path, "told_at": each.told_at.isoformat(), "candidates": list(each.evidence)}
                for each in found[-_SHOWN:]
            ]
        },
        hosts=(host,),
    )
