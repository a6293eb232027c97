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
from andon.runtime.errors import Refused
from andon.runtime.fast_loop import fast_event_loop
from andon.runtime.ids import SortableIds, system_random

if TYPE_CHECKING:
    from andon.sim.bench.figures import Figure, Result


def bench(
    name: Literal["agent", "api", "disk", "dispatch", "hook", "ingest", "lease", "start", "triage"],
    *,
    rounds: Annotated[
        int | None,
        Parameter(
            help="Minutes (agent: 10), hours (api: 2), pairs of transactions, hooks or bursts (dispatch: 60, "
            "hook: 60, ingest: 5), times (disk: 5), jobs (lease: 300, start: 200) or logs for each excerpt (triage: 4)."
        ),
    ] = None,
    database: Annotated[
        Literal["sqlite", "postgres", "both"], Parameter(help="For dispatch: which database it is measured on.")
    ] = "both",
    json: Json = False,
) -> int:
    """Runs a benchmark: `agent` (what an idle one costs its host), `api` (calls that GitHub counts, on virtual
    time), `disk` (how fast there is room on a full ext4, xfs and btrfs; needs root), `dispatch` (one transaction
    of 50 claims, on SQLite against a bare group commit, on PostgreSQL beside pgqueuer and procrastinate), `hook`
    (what a job waits for before its first step, beside a bare interpreter), `ingest` (durable webhooks a second
    beside a bare receiver), `lease` (a job's own directory on a busy host, beside a bare answer), `start`
    (webhook received to job process started, and memory at rest) or `triage` (how right verdicts are on the labelled
    set, and what one costs)."""
    if rounds is not None and rounds < 1:
        raise Refused(f"--rounds {rounds}: nothing would be measured. Give 1 or more.")
    clock = SystemClock()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    try:
        with asyncio.Runner(loop_factory=fast_event_loop()) as runner:
            if name == "api":
                result = _api(rounds, say)
            elif name == "triage":
                result = _triage(rounds, clock, say)
            else:
                result = runner.run(_bench(name, database, rounds, clock, say))
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


async def _bench(
    name: str, database: str, rounds: int | None, clock: SystemClock, say: Callable[[str], None]
) -> "Result":
    # What a benchmark started is ended by its own clean-up, so an end asked for must go through it.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    # Imported on call: the base install has neither the store nor a server to measure.
    if name == "dispatch":
        return await _dispatch(database, rounds or 60, clock, say)
    if name == "disk":
        from andon.sim.bench.disk import bench_disk

        return await bench_disk(rounds=rounds or 5, clock=clock, say=say)
    if name == "ingest":
        from andon.sim.bench.ingest import Counts, bench_ingest

        return await bench_ingest(counts=Counts(rounds=rounds or 5), clock=clock, chance=system_random(), say=say)
    if name == "hook":
        from andon.sim.bench.hook import bench_hook

        return await bench_hook(rounds=rounds or 60, clock=clock, say=say)
    if name == "lease":
        from andon.sim.bench.lease import bench_lease

        return await bench_lease(rounds=rounds or 300, clock=clock, say=say)
    if name == "agent":
        from andon.sim.bench.agent import bench_agent

        return await bench_agent(minutes=float(rounds or 10), clock=clock, say=say)
    from andon.sim.bench.start import bench_start

    return await bench_start(jobs=rounds or 200, pace_s=0.5, clock=clock, say=say)


def _api(hours: int | None, say: Callable[[str], None]) -> "Result":
    # On a loop of its own, whose time jumps.
    from andon.sim.bench.api import Load, bench_api

    return bench_api(Load(hours=float(hours or 2)), seed=1, say=say)


def _triage(seeds: int | None, clock: SystemClock, say: Callable[[str], None]) -> "Result":
    from andon.sim.bench.triage import bench_triage

    return bench_triage(seeds=seeds or 4, clock=clock, say=say)


async def _dispatch(database: str, rounds: int, clock: SystemClock, say: Callable[[str], None]) -> "Result":
    from andon.sim.bench.dispatch import bench_dispatch
    from andon.sim.bench.figures import together

    ids = SortableIds(clock, system_random())
    results: list[Result] = []
    if database != "sqlite":
        from andon.sim.bench.dispatch_postgres import bench_dispatch_postgres

        # A round on PostgreSQL is ten transactions of each.
        of_ten = max(1, rounds // 10)
        results.append(
            await bench_dispatch_postgres(rounds=of_ten, turns=10, backlog=20_000, clock=clock, ids=ids, say=say)
        )
    if database != "postgres":
        results.append(await bench_dispatch(rounds=rounds, backlog=5000, clock=clock, ids=ids, say=say))
    return together(results)


def _row(figure: "Figure") -> tuple[Cell, ...]:
    bound = "" if figure.bound is None else f"{'>=' if figure.at_least else '<='} {figure.bound:g}"
    verdict = "" if figure.holds is None else "holds" if figure.holds else "missed"
    numbers = tuple(plain(f"{value:.3g}") for value in (figure.value, figure.low, figure.high))
    return (strong(figure.name), *numbers, plain(figure.unit), plain(bound), word(verdict))
