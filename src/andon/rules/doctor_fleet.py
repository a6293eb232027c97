"""Judges what the control plane knows: itself, its hosts, their versions and disks, and the labels."""

from collections.abc import Iterator

import msgspec

from andon.model.api import HostView, JobView, PoolView
from andon.model.config import Disk
from andon.model.host_states import HostObserved
from andon.rules.doctor_finding import Check, Finding, Severity, judged, skipped, unknown
from andon.rules.host_clock import BECAUSE
from andon.rules.size_words import size

FEW = 2
"""A label that has to be there needs this many runners (R44)."""


class FleetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The control plane's answers."""

    url: str
    answered: bool
    said: str = ""
    version: str | None = None
    ready: bool = False
    missing: str | None = None
    hosts: tuple[HostView, ...] = ()
    pools: tuple[PoolView, ...] = ()
    unserved: tuple[JobView, ...] = ()
    """Jobs that wait for a label that no pool has."""
    readable: bool = True
    """False: it answers, and does not let us read; `said` has its words."""


def judge_control_plane(facts: FleetFacts) -> Check:
    """Whether it runs, and is ready."""
    name = "control plane"
    if not facts.answered:
        finding = Finding(
            id="controlplane.unreachable",
            what=f"No control plane answers at {facts.url} ({facts.said}).",
            do="Start it: andon up, or systemctl start andon. Hosts, labels and deliveries are judged by its answers.",
        )
        return judged(name, "no answer", [finding])
    if not facts.ready:
        finding = Finding(
            id="controlplane.not_ready",
            what=f"The control plane at {facts.url} is not ready: {facts.missing or 'it does not say why'}",
            do="Its log says more; a second one on the same database waits until the first is gone.",
        )
        return judged(name, "not ready", [finding])
    return judged(name, f"{facts.url} is ready, version {facts.version}", ())


def judge_hosts(facts: FleetFacts) -> Check:
    """Whether every host reports, with the right time."""
    if (why := _cannot(facts)) is not None:
        return unknown("hosts", why)
    findings: list[Finding] = []
    for host in facts.hosts:
        if host.observed != HostObserved.REPORTING.value:
            findings.append(
                Finding(
                    id="host.silent",
                    what=f"Host {host.name} is {host.observed}: its agent does not report.",
                    do=f"On {host.name}: systemctl status andon-agent, andon agent status. A host that is gone for "
                    f"good: andon host remove {host.name} --reason gone",
                )
            )
        if (host.reason or "").startswith(BECAUSE):
            findings.append(
                Finding(
                    id="clock.host",
                    what=f"Host {host.name} is cordoned: {host.reason}.",
                    do=f"Let chrony or systemd-timesyncd set the clock of {host.name}.",
                )
            )
    return judged("hosts", f"{len(facts.hosts)} enrolled", findings)


def judge_versions(facts: FleetFacts, here: str) -> Check:
    """Whether agents and this command have the control plane's version. One version of skew works."""
    if (why := _cannot(facts)) is not None:
        return unknown("versions", why)
    findings = [
        Finding(
            id="version.agent",
            severity=Severity.WARNING,
            what=f"Host {host.name} runs Andon {host.version}, the control plane {facts.version}.",
            do=f"Install {facts.version} on {host.name} and restart its agent; its jobs go on.",
        )
        for host in facts.hosts
        if host.version is not None and host.version != facts.version
    ]
    if here != facts.version:
        findings.append(
            Finding(
                id="version.here",
                severity=Severity.WARNING,
                what=f"This command is Andon {here}, the control plane {facts.version}.",
                do="Restart the control plane after an upgrade, or upgrade this command.",
            )
        )
    return judged("versions", f"all are {facts.version}", findings)


def judge_host_disks(facts: FleetFacts, limits: Disk) -> Check:
    """Whether hosts have room, by their own reports."""
    if (why := _cannot(facts)) is not None:
        return unknown("disks of hosts", why)
    reports = [(host.name, entry) for host in facts.hosts for entry in host.disk]
    if not reports:
        return skipped("disks of hosts", "no host reports any")
    findings: list[Finding] = []
    for name, entry in reports:
        level = entry.level
        short = entry.total > 0 and entry.free * 100 < limits.soft_percent * entry.total
        if level in ("soft", "hard", "emergency") or short:
            findings.append(
                Finding(
                    id="disk.host",
                    severity=Severity.WARNING if level == "soft" else Severity.PROBLEM,
                    what=f"Host {name}: {entry.mount} has {size(entry.free)} of {size(entry.total)} free.",
                    do="Free space there, or give it a larger disk; jobs are not started where too little is left.",
                )
            )
    silent = [host.name for host in facts.hosts if not host.disk]
    partly = f"{', '.join(silent[:3])} reported no disk" if silent else None
    return judged("disks of hosts", f"{len(reports)} file systems reported", findings, partly=partly)


def judge_labels(facts: FleetFacts) -> Check:
    """Whether every label is served, before a merge waits for it (R44)."""
    if (why := _cannot(facts)) is not None:
        return unknown("labels", why)
    findings = [*_unserved(facts.unserved)]
    for pool in facts.pools:
        serving = _serving(facts, pool.name)
        labels = ", ".join(pool.labels)
        if not pool.slots:
            findings.append(
                Finding(
                    id="pool.no_slots",
                    what=f'Pool "{pool.name}" ({labels}) has no slot on any host: its jobs wait for ever.',
                    do=f'Add [[agent.slots]] with pool = "{pool.name}" to an agent, or take the pool out.',
                )
            )
        elif serving < FEW:
            findings.append(
                Finding(
                    id="label.thin",
                    severity=Severity.WARNING,
                    what=f'Pool "{pool.name}" ({labels}) has {serving} slot{"" if serving == 1 else "s"} that can take '
                    f"a job; a label that merges depend on needs {FEW}.",
                    do="Add slots, or look after the hosts that are silent or cordoned.",
                )
            )
    return judged("labels", f"{len(facts.pools)} pools", findings)


def _serving(facts: FleetFacts, pool: str) -> int:
    return sum(
        1
        for host in facts.hosts
        if host.observed == HostObserved.REPORTING.value and host.intent == "open"
        for slot in host.slots
        if slot.pool == pool and slot.intent == "open" and slot.state not in ("unavailable", "unknown", "quarantined")
    )


def _unserved(jobs: tuple[JobView, ...]) -> Iterator[Finding]:
    by_labels: dict[tuple[str, ...], list[JobView]] = {}
    for job in jobs:
        by_labels.setdefault(job.labels, []).append(job)
    for labels, found in by_labels.items():
        yield Finding(
            id="label.unserved",
            what=f"{len(found)} waiting job{'' if len(found) == 1 else 's'} (first: {found[0].repository}, "
            f'"{found[0].name}") ask for {", ".join(labels)}, which no pool serves.',
            do="Correct runs-on in the workflow, or give a pool these labels.",
        )


def _cannot(facts: FleetFacts) -> str | None:
    if not facts.answered:
        return "the control plane does not answer"
    return None if facts.readable else facts.said
