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
from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused


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
        (strong(slot.slot), word(slot.state), plain(slot.pool), plain(slot.runner), plain(slot.note or ""))
        for slot in found.slots
    ]
    print_table(console, ("SLOT", "STATE", "POOL", "RUNNER", "NOTE"), rows)
