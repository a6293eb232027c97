"""What programs that serve have in common: the ready line, the signals that end them, the data folder."""

import asyncio
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from andon.cli.configuration import Placed
from andon.cli.exits import FINDING
from andon.runtime.errors import AndonError, Refused
from andon.runtime.fast_loop import fast_event_loop
from andon.runtime.logging import Logger

Program = Callable[[asyncio.Event], Awaitable[None]]


def announce(line: dict[str, object]) -> None:
    """Prints the ready line (interfaces.md section 2): one line of JSON on standard output."""
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


def serve_until_signal(program: Program, *, fast_loop: bool = False) -> None:
    """Runs `program` with an event that SIGTERM and SIGINT set; it ends by itself after that.

    `fast_loop` uses uvloop where it is installed. A fault of ours ends the process with FINDING.
    """

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await program(stop)

    with asyncio.Runner(loop_factory=fast_event_loop() if fast_loop else None) as runner:
        try:
            runner.run(run())
        except AndonError:
            raise
        except Exception:
            traceback.print_exc()
            raise SystemExit(FINDING) from None


def make_data_folder(folder: Path) -> None:
    """Makes the data folder. Raises Refused when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(
            f"{folder}: the data folder cannot be made ({error.strerror}). Name another with --data."
        ) from None


def log_warnings(log: Logger, warnings: tuple[Placed, ...]) -> None:
    """Says what the configuration asks for and does not get."""
    for one in warnings:
        log.warning("config.warning", file=str(one.file), line=one.line, what=one.finding.what)
