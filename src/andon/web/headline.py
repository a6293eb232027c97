"""The board's first line: whether anything is wrong, in one sentence, the gravest first.

Pure: it looks at what the page shows anyway. Its text changes only when the matter does (no
running clock in it), because screen readers read it out on every change.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from andon.model.api import HostView
from andon.model.budget import BudgetView
from andon.model.degraded import Degraded, DegradedCode
from andon.model.incident_kinds import IncidentCode
from andon.model.incident_states import IncidentState
from andon.model.nouns import Incident
from andon.rules.disk_incidents import host_of
from andon.store.pauses import Pause
from andon.store.rail_gate import Modes


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be."""

    lamp: str
    """`red` or `amber`."""
    text: str
    href: str | None = None


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def count(number: int, noun: str) -> str:
    """`1 slot`, `4 slots`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _of_hosts(found: Sequence[HostView]) -> str | None:
    return f"/hosts/{found[0].name}" if len(found) == 1 else None


def _silent(hosts: Sequence[HostView]) -> list[Finding]:
    silent = [host for host in hosts if host.observed == "silent"]
    never = [host for host in hosts if host.observed == "unknown"]
    made: list[Finding] = []
    if silent:
        lost = count(sum(len(host.slots) for host in silent), "slot")
        many = len(silent) > 1
        subject = f"{len(silent)} of {len(hosts)} hosts are silent ({_some([host.name for host in silent])});"
        if not many:
            seen = silent[0].last_seen
            since = f" since {seen:%H:%M} UTC" if seen else ""
            subject = f"{silent[0].name} has been silent{since};"
        verb = "is" if lost.startswith("1 ") else "are"
        text = f"{subject} {'their' if many else 'its'} {lost} {verb} unknown."
        made.append(Finding(lamp="red", text=text, href=_of_hosts(silent)))
    if never:
        names = _some([host.name for host in never])
        text = f"{names} {'is' if len(never) == 1 else 'are'} enrolled and {'has' if len(never) == 1 else 'have'}"
        made.append(Finding(lamp="amber", text=f"{text} never reported.", href=_of_hosts(never)))
    return made


def _slots(hosts: Sequence[HostView], told: Collection[str]) -> list[Finding]:
    """`told`: hosts of whose disks an incident tells."""
    made: list[Finding] = []
    heard = [host for host in hosts if host.observed == "reporting"]

    def of(host: HostView, state: str) -> int:
        # A cordon is somebody's word, and no fault.
        held = [slot for slot in host.slots if "cordoned" not in (slot.intent, host.intent)]
        return sum(slot.state == state for slot in held)

    for state, lamp in (("unavailable", "red"), ("quarantined", "amber")):
        where = [host for host in heard if of(host, state)]
        number = sum(of(host, state) for host in where)
        if number:
            verb = "is" if number == 1 else "are"
            text = f"{count(number, 'slot')} on {_some([host.name for host in where])} {verb} {state}."
            made.append(Finding(lamp=lamp, text=text, href=_of_hosts(where)))
    for level, lamp in (("emergency", "red"), ("hard", "red"), ("soft", "amber")):
        full = [host for host in heard if host.name not in told and any(disk.level == level for disk in host.disk)]
        if full:
            text = f"Disk on {_some([host.name for host in full])} is at the {level} limit."
            made.append(Finding(lamp=lamp, text=text, href=_of_hosts(full)))
    return made


def _rails(rails: Modes, now: datetime) -> list[Finding]:
    made: list[Finding] = []
    for state in rails.capped(now):
        since = state.capped_since(now)
        text = (
            f"The rail {state.rail} reached its cap of {state.cap} acts a minute at {since:%H:%M} UTC; the rest waits."
        )
        made.append(Finding(lamp="amber", text=text))
    for rail, state in rails.states.items():
        if state.switch is not None and state.switch != "act" and rails.of(rail) != rails.fleet:
            words = "is switched off" if state.switch == "off" else "is switched to observe"
            made.append(Finding(lamp="amber", text=f"The rail {state.rail} {words}: {state.reason}"))
    return made


_OF_A_HOST = frozenset({IncidentCode.HOST_SILENT})
"""Said with the host's own sentence."""


def _incidents(incidents: Sequence[Incident]) -> list[Finding]:
    """What is open, at its moment of opening: easing ones are over as far as one sees."""
    return [
        Finding(
            lamp="red" if each.severity == "page" else "amber",
            text=f"{each.title} (since {each.opened_at:%H:%M} UTC).",
            href="/incidents",
        )
        for each in incidents
        if each.state is IncidentState.OPEN and each.code not in _OF_A_HOST
    ]


def _degraded(degraded: Sequence[Degraded], incidents: Sequence[Incident]) -> list[Finding]:
    open_codes = {each.code for each in incidents if each.state is IncidentState.OPEN}
    told = {DegradedCode.DELIVERIES_SPOOLED}
    if IncidentCode.GITHUB_DOWN not in open_codes:
        # The incident is the leader's to open; any replica sees that its own calls fail.
        told.add(DegradedCode.GITHUB_DOWN)
    return [Finding(lamp="red" if each.grave else "amber", text=each.text) for each in degraded if each.code in told]


def findings(
    hosts: Sequence[HostView],
    *,
    missing: str | None,
    pauses: Sequence[Pause],
    budgets: Sequence[BudgetView] = (),
    unserved: int,
    stranded: int,
    rails: Modes,
    incidents: Sequence[Incident] = (),
    degraded: Sequence[Degraded] = (),
    now: datetime,
) -> tuple[Finding, ...]:
    """Everything that is wrong, the gravest first.

    `missing` is what keeps the control plane from being ready; `budgets` are those at GitHub; `unserved` and
    `stranded` count jobs whose labels no pool serves, and jobs whose runner is in doubt for longer than an
    answer takes; `rails` say which automatic acts are held back. `incidents` are those that are not closed; of
    `degraded` only what nothing else here tells is said.
    """
    made: list[Finding] = []
    if missing is not None:
        made.append(Finding(lamp="red", text=f"The control plane is not ready: {missing}"))
    made += _incidents(incidents)
    made += _degraded(degraded, incidents)
    lost = any(each.code is IncidentCode.FLEET_SILENT and each.state is IncidentState.OPEN for each in incidents)
    # One cause is one sentence: a lost fleet is said once, not for each host again.
    made += [each for each in _silent(hosts) if not (lost and each.lamp == "red")]
    short = (each for each in incidents if each.code is IncidentCode.DISK_HARD and each.state is IncidentState.OPEN)
    made += _slots(hosts, frozenset(host_of(each.subject_id) for each in short))
    for pause in sorted(pauses, key=lambda each: (each.owner, each.repository, each.pool)):
        if pause.until > now:
            whose = pause.repository or pause.owner
            where = f" in pool {pause.pool}" if pause.pool else ""
            text = f"Runners of {whose}{where} cannot be registered at GitHub until {pause.until:%H:%M:%S} UTC."
            made.append(Finding(lamp="amber", text=text))
    made += [Finding(lamp="amber", text=each.degraded) for each in budgets if each.degraded is not None]
    if unserved:
        verb = "asks" if unserved == 1 else "ask"
        text = f"{count(unserved, 'job')} {verb} for labels that no pool serves."
        made.append(Finding(lamp="amber", text=text, href="/queue"))
    if stranded:
        text = f"{count(stranded, 'job')} lost {'its' if stranded == 1 else 'their'} runner; GitHub is being asked."
        made.append(Finding(lamp="amber", text=text, href="/queue"))
    made += _rails(rails, now)
    return tuple(sorted(made, key=lambda each: each.lamp != "red"))


def all_well(hosts: Sequence[HostView]) -> str:
    """The sentence when nothing is wrong; intents of people are said, and are no fault."""
    if not hosts:
        return "No host yet."
    said = "The only host reports." if len(hosts) == 1 else f"All {len(hosts)} hosts report."
    held = [host.name for host in hosts if host.intent in ("cordoned", "draining")]
    return f"{said} {_some(held)} {'takes' if len(held) == 1 else 'take'} no new jobs." if held else said
