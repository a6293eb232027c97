"""`andon agent status`: what the agent that lives on this machine says of itself."""

from typing import Any

from rich.text import Text

from andon.cli.agent_process import status_of
from andon.cli.configuration import load_for_agent
from andon.cli.exits import FINDING, FINE
from andon.cli.options import ConfigFile, DataFolder, Json
from andon.cli.output import make_console, plain, print_json, print_table, shown_time, strong, word
from andon.runtime.clock import SystemClock


def agent_status(*, config: ConfigFile = None, data: DataFolder = None, json: Json = False) -> int:
    """Ask the agent over its socket. Exit code 1: it has trouble with its control plane or a slot."""
    found: dict[str, Any] = status_of(load_for_agent(config, data))
    slots: list[dict[str, Any]] = found["slots"]
    if json:
        print_json(found)
    else:
        console, now = make_console(), SystemClock().now()
        lines = [
            ("host", f"{plain(found['host'])}  pid {plain(found['pid'])}  version {plain(found['version'])}"),
            ("server", plain(found["server"])),
            ("last sync", shown_time(console, found.get("last_sync"), now)),
            ("unsent ends", plain(found["unacknowledged_ends"])),
        ]
        if found.get("trouble"):
            lines.append(("trouble", plain(found["trouble"])))
        for name, value in lines:
            console.print(Text.assemble((f"{name:<13}", "dim"), value), soft_wrap=True)
        console.print()
        rows = [
            (strong(slot["slot"]), word(slot["state"]), plain(slot["pool"]), plain(slot.get("runner")), _note(slot))
            for slot in slots
        ]
        print_table(console, ("SLOT", "STATE", "POOL", "RUNNER", "NOTE"), rows)
    troubled = found.get("trouble") or any(slot["state"] == "unavailable" for slot in slots)
    return FINDING if troubled else FINE


def _note(slot: dict[str, Any]) -> str:
    return plain(slot.get("note") or "")
