"""Judges this machine: secrets' modes, the certificate's end, room for data, slots' users, the file itself."""

from datetime import datetime, timedelta

import msgspec

from andon.model.config import Agent, Disk
from andon.rules.config_finding import Finding as ConfigFinding
from andon.rules.doctor_finding import Check, Finding, Severity, judged, skipped, unknown

NEAR_ITS_END = timedelta(days=14)


class FileFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A secret's file. `mode` None: it is not there, or hidden from us."""

    path: str
    mode: int | None
    said: str = ""


def judge_secrets(found: tuple[FileFacts, ...]) -> Check:
    """Whether nobody but their owner can read the secrets."""
    findings = [
        Finding(
            id="secret.mode",
            what=f"{one.path} can be read by others (mode {one.mode:04o}).",
            do=f"chmod 600 {one.path}; a secret that others may have read is better made anew.",
        )
        for one in found
        if one.mode is not None and one.mode & 0o077
    ]
    hidden = [one for one in found if one.mode is None]
    partly = f"{hidden[0].path}: {hidden[0].said}" if hidden else None
    return judged("secrets", f"{len(found) - len(hidden)} files", findings, partly=partly)


def judge_certificate(path: str | None, ends: datetime | None, said: str, now: datetime) -> Check:
    """Whether the TLS certificate is good for some time. `path` None: there is none."""
    if path is None:
        return skipped("certificate", "none is used")
    if ends is None:
        return unknown("certificate", f"{path}: {said}")
    left = ends - now
    day = ends.strftime("%Y-%m-%d")
    if left > NEAR_ITS_END:
        return judged("certificate", f"good until {day}", ())
    over = left <= timedelta(0)
    words = f"ended on {day}" if over else f"ends on {day}, in {left.days} day{'' if left.days == 1 else 's'}"
    return judged(
        "certificate",
        "at its end",
        [
            Finding(
                id="certificate.ends",
                severity=Severity.PROBLEM if over else Severity.WARNING,
                what=f"The TLS certificate {path} {words}.",
                do="Renew it, then restart the control plane; agents and webhooks are refused when it is over.",
            )
        ],
    )


class RoomFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The file system of a folder, in bytes and inodes. `inodes` 0: it does not count them."""

    path: str
    free: int
    total: int
    inodes_free: int = 0
    inodes: int = 0


def judge_room(found: RoomFacts | None, said: str, limits: Disk) -> Check:
    """Whether the data folder has room for the database and the spool."""
    if found is None:
        return unknown("disk", said)
    parts = [("of its bytes", found.free, found.total), ("of its inodes", found.inodes_free, found.inodes)]
    findings: list[Finding] = []
    for what, free, total in parts:
        percent = 100 * free / total if total else 100.0
        if percent < limits.soft_percent:
            findings.append(
                Finding(
                    id="disk.data",
                    severity=Severity.PROBLEM if percent < limits.hard_percent else Severity.WARNING,
                    what=f"The file system of {found.path} has {percent:.1f} % {what} free.",
                    do="Free some, or move --data: without room no delivery can be stored.",
                )
            )
    return judged("disk", f"{found.free / 2**30:.1f} GiB free at {found.path}", findings)


def judge_slot_users(agent: Agent | None, *, slots: int) -> Check:
    """Whether each slot of this machine's agent has a user of its own (design.md section 8)."""
    if agent is None:
        return skipped("slot users", "no agent in this file")
    findings: list[Finding] = []
    for group in agent.slots:
        if group.user is None:
            who = "have no user of their own: their jobs run as the agent's"
        elif "{slot}" not in group.user and slots > 1:
            who = f'share the user "{group.user}"'
        else:
            continue
        findings.append(
            Finding(
                id="slot.shared_user",
                severity=Severity.WARNING,
                what=f'The slots of pool "{group.pool}" {who}, so one job can read another\'s JIT config and files.',
                do='Set user = "andon-{slot}" in [[agent.slots]], then: andon agent install',
            )
        )
    return judged("slot users", f"{slots} slots", findings)


def judge_configuration(path: str, found: tuple[tuple[int, ConfigFinding], ...]) -> Check:
    """The warnings of `andon config check`, by line."""
    return judged(
        "configuration",
        path,
        [
            Finding(
                id="config.warning",
                severity=Severity.WARNING,
                what=f"{path}:{line}: {finding.what}",
                do="Change the file as it says; andon config check looks again.",
            )
            for line, finding in found
        ],
    )
