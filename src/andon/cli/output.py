"""Printing: tables that are coloured on a terminal, plain and uncut in a pipe; ages; JSON.

Names come from branches, labels and repositories, so they are hostile text: shown without control
characters, never read as markup (design.md section 8).
"""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 100_000
_STYLES = {
    "reporting": "green",
    "silent": "bold red",
    "unknown": "yellow",
    "open": "green",
    "cordoned": "yellow",
    "draining": "yellow",
    "quarantined": "red",
    "success": "green",
    "pass": "green",
    "skip": "yellow",
    "FAIL": "bold red",
    "failure": "red",
    "timed_out": "red",
    "cancelled": "yellow",
    "in_progress": "cyan",
    "running": "cyan",
    "unavailable": "red",
    "stranded": "bold red",
    "unserved_label": "bold red",
    "no_disk": "bold red",
    "ok": "green",
    "soft": "yellow",
    "hard": "bold red",
    "emergency": "bold red",
}
Cell = str | Text


def make_console() -> Console:
    """Standard output: the terminal's width there, no cut anywhere else."""
    if sys.stdout.isatty():
        return Console(highlight=False, markup=False)
    return Console(highlight=False, markup=False, width=_PIPE_WIDTH, color_system=None)


def plain(value: object) -> str:
    """`value` as one line of text in which nothing can move a cursor or change a colour."""
    text = "-" if value is None else str(value)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def word(value: object) -> Text:
    """A state or conclusion in its colour."""
    return Text(plain(value), style=_STYLES.get(str(value), ""))


def strong(value: object) -> Text:
    """What a line is about."""
    return Text(plain(value), style="bold")


def print_table(console: Console, headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """A table without lines; each row on one line."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row))
    if console.is_terminal:
        console.print(table)
    else:
        # A table pads its last column; nobody wants that in a pipe.
        with console.capture() as captured:
            console.print(table)
        for line in captured.get().splitlines():
            sys.stdout.write(line.rstrip() + "\n")


def print_json(value: Any) -> None:
    """JSON with two spaces, ending in a line break."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def duration(seconds: float) -> str:
    """A short length of time, such as "42 s", "3 min", "5 h" or "2 d"."""
    whole = max(0, int(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size or (unit == "min" and whole >= size):
            return f"{whole // size} {unit}"
    return f"{whole} s"


def shown_time(console: Console, at: datetime | None, now: datetime) -> str:
    """How long ago on a terminal; the time itself in a pipe."""
    if at is None:
        return "-"
    if not console.is_terminal:
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return duration((now - at).total_seconds())
