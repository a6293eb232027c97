"""`andon doctor`: what is wrong around Andon, and what to do about it (R5, R44, R45)."""

import asyncio
import sys
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from andon.cli.configuration import config_path, data_folder, findings_of
from andon.cli.exits import UNUSABLE
from andon.cli.options import ConfigFile, DataFolder, Json, ServerUrl, TokenFile
from andon.cli.output import make_console, plain, print_json, strong
from andon.cli.server_choice import choose_server
from andon.rules.config_finding import Severity as ConfigSeverity
from andon.rules.doctor_finding import Check, Severity, State
from andon.runtime.clock import Clock, SystemClock
from andon.runtime.environment import environment
from andon.runtime.errors import Refused

_SIGNS = {
    State.FINE: ("ok", "green"),
    State.FOUND: ("!!", "bold red"),
    State.UNKNOWN: ("??", "yellow"),
    State.SKIPPED: ("--", "dim"),
}


def doctor(
    *,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """Look at GitHub, the control plane, its hosts and this machine; say what is wrong and what to do.

    Exit code 1: something was found; 2: nothing was, and something could not be looked at.
    """
    return examine(config=config, data=data, server=server, token_file=token_file, json=json, clock=SystemClock())


def examine(
    *, config: ConfigFile, data: DataFolder, server: ServerUrl, token_file: TokenFile, json: bool, clock: Clock
) -> int:
    """`doctor` by any clock."""
    from andon.doctor.control_plane import Place
    from andon.doctor.examine import Examination, Patient

    path = config_path(config)
    whole, findings = findings_of(path, data)
    refused = [one for one in findings if one.finding.severity is ConfigSeverity.REFUSED]
    for one in refused:
        sys.stderr.write(f"andon: {one}\n")
    if refused:
        return UNUSABLE
    place, why = None, ""
    try:
        choice = choose_server(config=path, data=data, server=server, token_file=token_file, environ=environment())
        place = Place(url=choice.url, token=choice.token, ca_file=choice.ca_file)
    except Refused as error:
        why = str(error)
    console = make_console()
    progress = _Progress()
    patient = Patient(
        config=whole,
        path=path,
        data=data_folder(path, data),
        warnings=tuple((one.line, one.finding) for one in findings),
        place=place,
        why_no_place=why,
    )

    def tell(check: Check) -> None:
        progress.clear()
        if not json:
            _print(console, check)

    examination = Examination(patient, clock=clock, tell=tell, working=progress.show)
    try:
        report = asyncio.run(examination.run())
    finally:
        progress.clear()
    if json:
        print_json(_shown(report.checks, report.ledger))
    return report.code


class _Progress:
    """One line on a terminal's standard error that says what is looked at."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()

    def show(self, what: str) -> None:
        if self._terminal:
            sys.stderr.write(f"\r\x1b[2Klooking at {plain(what)} ...")
            sys.stderr.flush()

    def clear(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def _print(console: Console, check: Check) -> None:
    sign, style = _SIGNS[check.state]
    head = Text.assemble((f"{sign}  ", style), f"{check.name:<16} ")
    if check.state is State.UNKNOWN:
        console.print(Text.assemble(head, f"cannot tell: {plain(check.note)}"), soft_wrap=True)
        return
    console.print(Text.assemble(head, plain(check.note)), soft_wrap=True)
    for finding in check.findings:
        colour = "bold red" if finding.severity is Severity.PROBLEM else "yellow"
        line = Text.assemble((f"    {finding.severity.value:<8} ", colour), strong(finding.what))
        console.print(Text.assemble(line, f"  [{finding.id}]"), soft_wrap=True)
        console.print(f"             {plain(finding.do)}", soft_wrap=True)
    if check.partly is not None:
        console.print(Text(f"    not seen: {plain(check.partly)}", style="yellow"), soft_wrap=True)
    if check.caveat is not None:
        console.print(Text(f"    not seen: {plain(check.caveat)}", style="dim"), soft_wrap=True)


def _shown(checks: tuple[Check, ...], ledger: object) -> dict[str, Any]:
    return {
        "checks": [
            {
                "name": check.name,
                "state": check.state,
                "note": check.note,
                "not_seen": check.partly,
                "caveat": check.caveat,
            }
            for check in checks
        ],
        "findings": [
            {"check": check.name, **msgspec.to_builtins(finding)} for check in checks for finding in check.findings
        ],
        "ledger": msgspec.to_builtins(ledger),
    }
