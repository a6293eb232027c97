"""The board's first line: whether anything is wrong, in one sentence, the gravest first.

Pure: it looks at what the page shows anyway. Its text changes only when the matter does (no
running clock in it), because screen readers read it out on every change.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from andon.model.api import HostView
from andon.model.budget import BudgetView
from andon.store.pauses import Pause


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


def _slots(hosts: Sequence[HostView]) -> list[Finding]:
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
        full = [host for host in heard if any(disk.get("level") == level for disk in host.disk)]
        if full:
            text = f"Disk on {_some([host.name for host in full])} is at the {level} limit."
            made.append(Finding(lamp=lamp, text=text, href=_of_hosts(full)))
    return made


def findings(
    hosts: Sequence[HostView],
    *,
    missing: str | None,
    pauses: Sequence[Pause],
    budgets: Sequence[BudgetView] = (),
    unserved: int,
    stranded: int,
    now: datetime,
) -> tuple[Finding, ...]:
    """Everything that is wrong, the gravest first.

    `missing` is what keeps the control plane from being ready; `budgets` are those at GitHub; `unserved` and
    `stranded` count jobs whose labels no pool serves, and jobs whose runner is in doubt for longer than an
    answer takes.
    """
    made: list[Finding] = []
    if missing is not None:
        made.append(Finding(lamp="red", text=f"The control plane is not ready: {missing}"))
    made += _silent(hosts)
    made += _slots(hosts)
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
    return tuple(sorted(made, key=lambda each: each.lamp != "red"))


def all_well(hosts: Sequence[HostView]) -> str:
    """The sentence when nothing is wrong; intents of people are said, and are no fault."""
    if not hosts:
        return "No host yet."
    said = "The only host reports." if len(hosts) == 1 else f"All {len(hosts)} hosts report."
    held = [host.name for host in hosts if host.intent in ("cordoned", "draining")]
    return f"{said} {_some(held)} {'takes' if len(held) == 1 else 'take'} no new jobs." if held else said
