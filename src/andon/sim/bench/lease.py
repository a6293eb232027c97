"""Benchmark "lease": what a job waits for its workspace on a busy host, beside a server that only answers.

A real agent with its keeper holds sixteen leases of living jobs, a thousand processes of others stand around,
which every look for users of a directory has to read, and jobs come one after the other: each takes a lease and
is over at once, so that the keeper looks, and moves directories away, while the next one asks.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import msgspec

from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.sim.bench import lease_runner
from andon.sim.bench.crowd import crowd
from andon.sim.bench.figures import Figure, Result, figure, percentile
from andon.sim.bench.processor import busy
from andon.sim.stage.agent import staged_agent

TAKE_MS = 50.0
HELD = 16
PROCESSES = 1000


async def bench_lease(
    *, rounds: int, clock: Clock, say: Callable[[str], None], held: int = HELD, processes: int = PROCESSES
) -> Result:
    """`rounds` jobs, each asking the agent and then a bare server."""
    load = busy()
    command = (sys.executable, "-I", "-S", str(Path(lease_runner.__file__)))
    with crowd(processes):
        async with (
            _bare_server() as bare,
            staged_agent(slots=held + 1, command=command, clock=clock, held_s=25.0) as agent,
        ):
            # Their runs are over: what the jobs leave is moved away while others ask.
            agent.control.runs = {str(number + 1): "completed" for number in range(rounds)}
            for slot in range(held):
                agent.claim(slot, json.dumps({"hold": str(agent.folder / f"held-{slot}")}))
            agent.control.tell()
            for slot in range(held):
                if json.loads(told := await agent.written(f"held-{slot}")) != "held":
                    raise AndonError(f"A job got no workspace, so nothing was measured: {told}")
            say(f"{held} leases are held, and {processes} processes of others are there")
            task = {"rounds": rounds, "times": str(agent.folder / "times"), "bare": str(bare)}
            agent.claim(held, json.dumps(task))
            agent.control.tell()
            told = await agent.written("times", within_s=60.0 + rounds)
    times = msgspec.json.decode(told, type=list[dict[str, float]] | dict[str, str])
    if isinstance(times, dict):
        raise AndonError(f"A job got no workspace, so nothing was measured: {times['error']}")
    ours, theirs = [one["ours"] for one in times], [one["bare"] for one in times]
    return Result(
        bench="lease",
        conditions=f"{rounds} jobs in turn, {held} leases held, {processes} processes of others, {load}",
        figures=(
            figure("lease taken and acknowledged", ours, "ms"),
            _of("lease, p99", percentile(ours, 99), ours, TAKE_MS),
            figure("a bare answer", theirs, "ms"),
            _of("a bare answer, p99", percentile(theirs, 99), theirs, None),
        ),
    )


def _of(name: str, value: float, all_of: list[float], bound: float | None) -> Figure:
    return Figure(name=name, value=value, unit="ms", low=min(all_of), high=max(all_of), bound=bound, at_least=False)


@contextlib.asynccontextmanager
async def _bare_server() -> AsyncGenerator[Path]:
    """A server that answers each line with a short one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"ok": true}\n')
        await writer.drain()
        writer.close()

    with tempfile.TemporaryDirectory(prefix="andon-bench-") as place:
        path = Path(place) / "bare.sock"
        async with await asyncio.start_unix_server(answer, path):
            yield path
