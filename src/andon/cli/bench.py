"""`andon bench NAME`: measures ours beside a baseline in one run. Exit code 1 when a bound is missed."""

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter

from andon.cli.exits import FINDING, FINE
from andon.cli.options import Json
from andon.cli.output import Cell, make_console, plain, print_json, print_table, strong, word
from andon.runtime.clock import SystemClock
from andon.runtime.ids import SortableIds, system_random

if TYPE_CHECKING:
    from andon.sim.bench.figures import Figure, Result


def bench(
    name: Literal["dispatch", "start"],
    *,
    rounds: Annotated[int | None, Parameter(help="Pairs of transactions, or jobs; default 60 and 200.")] = None,
    json: Json = False,
) -> int:
    """Runs a benchmark: `dispatch` (one transaction of 50 claims against a bare group commit) or
    `start` (webhook received to job process started, and memory at rest)."""
    clock = SystemClock()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    try:
        result = asyncio.run(_bench(name, rounds, clock, say))
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    if json:
        print_json({**msgspec.to_builtins(result), "holds": result.holds})
    else:
        console = make_console()
        console.print(plain(f"{result.bench}: {result.conditions}"))
        header = ("FIGURE", "MEDIAN", "LOWEST", "HIGHEST", "UNIT", "BOUND", "")
        print_table(console, header, [_row(figure) for figure in result.figures])
    return FINE if result.holds else FINDING


async def _bench(name: str, rounds: int | None, clock: SystemClock, say: Callable[[str], None]) -> "Result":
    # What a benchmark started is ended by its own clean-up, so an end asked for must go through it.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    # Imported on call: the base install has neither the store nor a server to measure.
    if name == "dispatch":
        from andon.sim.bench.dispatch import bench_dispatch

        ids = SortableIds(clock, system_random())
        return await bench_dispatch(rounds=rounds or 60, backlog=5000, clock=clock, ids=ids, say=say)
    from andon.sim.bench.start import bench_start

    return await bench_start(jobs=rounds or 200, pace_s=0.5, clock=clock, say=say)


def _row(figure: "Figure") -> tuple[Cell, ...]:
    bound = "" if figure.bound is None else f"{'>=' if figure.at_least else '<='} {figure.bound:g}"
    verdict = "" if figure.holds is None else "holds" if figure.holds else "missed"
    numbers = tuple(plain(f"{value:.3g}") for value in (figure.value, figure.low, figure.high))
    return (strong(figure.name), *numbers, plain(figure.unit), plain(bound), word(verdict))
