"""`andon hosts`: hosts with their slots. Exit code 1 when one does not report."""

from datetime import datetime
from typing import Any

from rich.console import Console

from andon.cli.exits import FINDING, FINE
from andon.cli.options import ConfigFile, DataFolder, Json, ServerUrl, TokenFile
from andon.cli.output import duration, make_console, plain, print_json, print_table, shown_time, strong, word
from andon.cli.reading import Reader, read
from andon.model.api import HostView
from andon.model.host_states import HostObserved
from andon.runtime.clock import SystemClock

MOST_HOSTS = 10_000


def hosts(
    *,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """Every host with its slots. Exit code 1: one is silent or was never heard of."""

    async def work(reader: Reader) -> tuple[dict[str, Any], list[HostView]]:
        page = await reader.list("/api/v1/hosts", limit=MOST_HOSTS)
        return page, reader.typed(page["items"], list[HostView])

    page, found = read(work, config=config, data=data, server=server, token_file=token_file)
    if json:
        print_json(page)
    else:
        _print(make_console(), found, SystemClock().now())
    return FINE if all(host.observed == HostObserved.REPORTING for host in found) else FINDING


def _print(console: Console, hosts: list[HostView], now: datetime) -> None:
    if not hosts:
        console.print("No hosts. One appears once its agent has reported: start it with `andon agent run`.")
        return
    rows = [
        (
            strong(host.name),
            word(host.observed),
            word(host.intent),
            shown_time(console, host.last_seen, now),
            plain(host.version),
            plain(host.reason or ""),
        )
        for host in hosts
    ]
    print_table(console, ("HOST", "OBSERVED", "INTENT", "LAST SEEN", "VERSION", "REASON"), rows)
    slots = [
        (
            strong(f"{host.name}/{slot.slot}"),
            word(slot.state),
            word(slot.intent),
            plain(slot.pool),
            plain(slot.kind),
            plain(slot.job),
            shown_time(console, slot.since, now),
        )
        for host in hosts
        for slot in host.slots
    ]
    resting = [
        (strong(f"{host.name}/{slot.slot}"), _until(console, slot.rests_until, now), plain(slot.failed_starts))
        for host in hosts
        for slot in host.slots
        if slot.rests_until is not None
    ]
    if slots:
        console.print()
        print_table(console, ("SLOT", "STATE", "INTENT", "POOL", "KIND", "JOB", "SINCE"), slots)
    if resting:
        console.print()
        print_table(console, ("RESTS", "UNTIL", "FAILED STARTS"), resting)


def _until(console: Console, at: datetime, now: datetime) -> str:
    """How long from now on a terminal; the time itself in a pipe."""
    return f"in {duration((at - now).total_seconds())}" if console.is_terminal else shown_time(console, at, now)
