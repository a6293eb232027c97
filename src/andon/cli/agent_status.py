"""`andon agent status`: what the agent that lives on this machine says of itself."""

from datetime import datetime

import msgspec
from rich.console import Console
from rich.text import Text

from andon.cli.agent_process import status_of
from andon.cli.configuration import load_for_agent
from andon.cli.exits import FINDING, FINE
from andon.cli.options import ConfigFile, DataFolder, Json
from andon.cli.output import make_console, plain, print_json, print_table, shown_time, strong, word
from andon.model.wire import SlotReport, SlotState
from andon.rules.slot_levers import LEVERS, LeverView
from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused


class AdoptedSlot(msgspec.Struct, frozen=True, kw_only=True):
    """An adopted slot with the protections that act on it, and those that cannot."""

    slot: int
    folder: str
    runner: str
    rules: tuple[LeverView, ...]


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's answer."""

    host: str
    pid: int
    version: str
    server: str
    slots: tuple[SlotReport, ...]
    unacknowledged_ends: int
    """Ends of runners that the control plane has not taken note of yet."""
    last_sync: datetime | None
    trouble: str | None
    adopted: tuple[AdoptedSlot, ...] = ()


def agent_status(*, config: ConfigFile = None, data: DataFolder = None, json: Json = False) -> int:
    """Ask the agent over its socket. Exit code 1: it has trouble with its control plane or a slot."""
    answer = status_of(load_for_agent(config, data))
    try:
        found = msgspec.convert(answer, AgentStatus)
    except msgspec.ValidationError as error:
        raise Refused(f"The agent's answer does not fit ({error}). Is it of another version?") from None
    if json:
        print_json(answer)
    else:
        _print(make_console(), found, SystemClock().now())
    troubled = found.trouble or any(slot.state is SlotState.UNAVAILABLE for slot in found.slots)
    return FINDING if troubled else FINE


def _print(console: Console, found: AgentStatus, now: datetime) -> None:
    lines = [
        ("host", f"{plain(found.host)}  pid {found.pid}  version {plain(found.version)}"),
        ("server", plain(found.server)),
        ("last sync", shown_time(console, found.last_sync, now)),
        ("unsent ends", str(found.unacknowledged_ends)),
    ]
    if found.trouble:
        lines.append(("trouble", plain(found.trouble)))
    for name, value in lines:
        console.print(Text.assemble((f"{name:<13}", "dim"), value), soft_wrap=True)
    console.print()
    rows = [
        (strong(each.slot), each.kind, word(each.state), plain(each.pool), plain(each.runner), plain(each.note or ""))
        for each in found.slots
    ]
    print_table(console, ("SLOT", "KIND", "STATE", "POOL", "RUNNER", "NOTE"), rows)
    if found.adopted:
        console.print()
        _print_rules(console, found)


def _print_rules(console: Console, found: AgentStatus) -> None:
    """Which protections act on which kind of slot, and what one adopted slot lacks beyond that (R91)."""
    rows = [
        (strong(lever.id), lever.what, lever.jit or "no", lever.adopted or f"no: {lever.instead}") for lever in LEVERS
    ]
    print_table(console, ("RULE", "WHAT", "JIT SLOTS", "ADOPTED SLOTS"), rows)
    able = {lever.id for lever in LEVERS if lever.adopted is not None}
    for slot in found.adopted:
        for rule in slot.rules:
            if rule.id in able and not rule.acts:
                line = f"slot {slot.slot} ({slot.runner}): {rule.id} does not act: {rule.how}"
                console.print(plain(line), soft_wrap=True)
