"""`andon disk status`: the filesystems of the hosts, as the control plane knows them.

Exit code 1 when one of those shown is at its hard mark or worse.
"""

from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from andon.cli.exits import FINDING, FINE
from andon.cli.options import ConfigFile, DataFolder, Json, ServerUrl, TokenFile
from andon.cli.output import duration, make_console, plain, print_json, print_table, shown_time, strong, word
from andon.cli.reading import Reader, read
from andon.model.api import DiskView
from andon.model.disk import DiskLevel
from andon.rules.cache_health import is_thrashing
from andon.rules.cache_incidents import rate_words
from andon.rules.size_words import size
from andon.runtime.clock import SystemClock

MOST = 10_000
"""Filesystems, of all hosts."""
_SHORT = frozenset({DiskLevel.HARD.value, DiskLevel.EMERGENCY.value})
_SHOWN_PINNED = 20


def disk_status(
    *,
    host: Annotated[str | None, Parameter(help="Only filesystems of this host.")] = None,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """Filesystems by host, with what is pinned. Exit code 1: one is at its hard mark or worse."""

    async def work(reader: Reader) -> tuple[dict[str, Any], list[DiskView]]:
        page = await reader.list("/api/v1/disk", {} if host is None else {"host": host}, limit=MOST)
        return page, reader.typed(page["items"], list[DiskView])

    page, found = read(work, config=config, data=data, server=server, token_file=token_file)
    if json:
        print_json(page)
    else:
        _print(make_console(), found, SystemClock().now())
    return FINDING if any(disk.level in _SHORT for disk in found) else FINE


def _print(console: Console, found: list[DiskView], now: datetime) -> None:
    if not found:
        console.print("No host tells of a filesystem. Agents of this version do, once they have looked.")
        return
    rows = [
        (
            strong(disk.host),
            plain(disk.mount),
            word(disk.level),
            plain(size(disk.free)),
            plain(size(disk.total)),
            plain(size(disk.reserved)),
            plain(size(disk.floor)),
            plain(None if disk.full_in_s is None else duration(disk.full_in_s)),
            plain(_inodes(disk)),
            shown_time(console, disk.told_at, now),
        )
        for disk in found
    ]
    headings = ("HOST", "MOUNT", "LEVEL", "FREE", "OF", "PROMISED", "FLOOR", "FULL IN", "INODES FREE", "TOLD")
    print_table(console, headings, rows)
    classes = [
        (
            strong(disk.host),
            plain(disk.mount),
            plain(each.path_class.value),
            plain(_size(each.bytes)),
            plain(each.count),
        )
        for disk in found
        for each in disk.classes
    ]
    if classes:
        console.print()
        print_table(console, ("HOST", "MOUNT", "CLASS", "BYTES", "COUNT"), classes)
    caches = [
        (
            strong(disk.host),
            plain(f"{each.program} of {each.owner}, user {each.user}"),
            plain(_size(each.size)),
            plain(size(each.cap)),
            plain(rate_words(each)),
            plain(each.trouble or ("full, and of little use" if is_thrashing(each) else "serves")),
        )
        for disk in found
        for each in disk.caches
    ]
    if caches:
        console.print()
        print_table(console, ("HOST", "COMPILE CACHE", "HOLDS", "OF AT MOST", "HITS", "STATE"), caches)
    pinned = [
        (strong(disk.host), plain(_size(each.bytes)), plain(each.path), plain(each.by))
        for disk in found
        for each in disk.pinned[:_SHOWN_PINNED]
    ]
    if pinned:
        console.print()
        print_table(console, ("HOST", "PINNED", "PATH", "BY"), pinned)


def _size(count: int | None) -> str:
    return "not measured" if count is None else size(count)


def _inodes(disk: DiskView) -> str | None:
    """In whole percent; None on a filesystem that has no number of them."""
    return f"{disk.inodes_free * 100 // disk.inodes} %" if disk.inodes else None
