"""Benchmark "start": webhook received -> job process started on an idle host, through real processes.

Received is when the control plane stored the delivery; started is what the first step of the job
writes down as its very first act. Jobs come one after the other at a pace that leaves slots idle.
"""

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from andon.model.api import DeliveryView, JobView, Page
from andon.rules.listen_address import ListenAddress
from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.runtime.http_client import HttpClient
from andon.sim.bench.figures import Figure, Result, figure, percentile
from andon.sim.bench.memory import resident_mib
from andon.sim.stage.fleet import Plan, StagedFleet
from andon.sim.stage.folder import POOL_LABELS

P50_BOUND_S = 1.0
P99_BOUND_S = 3.0
AGENT_MIB = 60.0
CONTROL_PLANE_MIB = 150.0
_PATIENCE_S = 60.0


async def bench_start(*, jobs: int, pace_s: float, clock: Clock, say: Callable[[str], None]) -> Result:
    """Runs `jobs` jobs, one every `pace_s` seconds, on 2 hosts with 4 slots each."""
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as place:
        folder = Path(place)
        (folder / "started").mkdir(mode=0o777)
        plan = Plan(slots=4, repository="bench/app")
        fleet = StagedFleet(folder, plan, say=say, clock=clock)
        try:
            await fleet.start(ListenAddress(host="127.0.0.1", port=0))
            await _until_reporting(fleet.board(), plan, clock)
            rest = _memory(fleet)
            job_ids = await _post(fleet.github(), folder, jobs, pace_s, clock, say)
            waits = await _waits(fleet.board(), folder, job_ids, clock)
        finally:
            await fleet.end()
    return Result(
        bench="start",
        conditions=f"{jobs} jobs, one every {pace_s:g} s, 2 hosts x 4 slots, stand-in runner, SQLite FULL",
        figures=(
            _one("webhook to job process, p50", percentile(waits, 50), waits, P50_BOUND_S),
            _one("webhook to job process, p90", percentile(waits, 90), waits, None),
            _one("webhook to job process, p99", percentile(waits, 99), waits, P99_BOUND_S),
            figure("control plane at rest", [rest[0]], "MiB", bound=CONTROL_PLANE_MIB, at_least=False),
            figure("agent at rest", rest[1:], "MiB", bound=AGENT_MIB, at_least=False),
        ),
    )


def _one(name: str, value: float, all_of: list[float], bound: float | None) -> Figure:
    return Figure(name=name, value=value, unit="s", low=min(all_of), high=max(all_of), bound=bound, at_least=False)


def _memory(fleet: StagedFleet) -> list[float]:
    """Resident memory of the control plane, then of each agent."""
    return [resident_mib(fleet.servers[1].pid), *(resident_mib(agent.pid) for agent in fleet.agents)]


async def _until_reporting(board: HttpClient, plan: Plan, clock: Clock) -> None:
    until = clock.monotonic() + _PATIENCE_S
    while True:
        answer = await board.request("GET", "/api/v1/pools")
        pools: list[dict[str, Any]] = msgspec.json.decode(answer.body)["items"]
        if pools and pools[0]["idle"] == plan.slots * len(plan.hosts):
            return
        if clock.monotonic() > until:
            raise AndonError("The hosts did not report their slots.")
        await clock.sleep(0.1)


async def _post(
    github: HttpClient, folder: Path, jobs: int, pace_s: float, clock: Clock, say: Callable[[str], None]
) -> list[int]:
    made: list[int] = []
    began = clock.monotonic()
    for number in range(jobs):
        await clock.sleep(began + number * pace_s - clock.monotonic())
        # `date` is the step's first act: its process has started when it writes.
        step = f'date +%s%N > "{folder}/started/$GITHUB_RUN_ID"'
        body = {
            "repository": "bench/app",
            "jobs": [{"name": "job", "labels": list(POOL_LABELS), "steps": [{"run": step}]}],
            "event": "push",
            "branch": "main",
        }
        answer = await github.request("POST", "/_sandbox/runs", body=msgspec.json.encode(body))
        made += msgspec.json.decode(answer.body)["jobs"]
        if number % 50 == 49:
            say(f"{number + 1} of {jobs} jobs posted")
    return made


async def _waits(board: HttpClient, folder: Path, job_ids: list[int], clock: Clock) -> list[float]:
    """Seconds from the storing of each job's `queued` delivery to the start of its first step."""
    ended: list[JobView] = []
    until = clock.monotonic() + _PATIENCE_S
    for job_id in job_ids:
        while True:
            answer = await board.request("GET", f"/api/v1/jobs/{job_id}")
            job = msgspec.json.decode(answer.body, type=JobView) if answer.status == 200 else None
            if job is not None and job.status == "completed":
                break
            if clock.monotonic() > until:
                raise AndonError(f"Job {job_id} did not end.")
            await clock.sleep(0.2)
        ended.append(job)
    received = await _received(board)
    return [
        int((folder / "started" / str(job.run_id)).read_text()) / 1e9 - received[_guid(job)].timestamp()
        for job in ended
    ]


def _guid(job: JobView) -> str:
    """The delivery that told of the job first."""
    story = job.story if isinstance(job.story, tuple) else ()
    source: str = next(line.evidence["source"] for line in story if line.kind == "job.queued")
    return source.removeprefix("webhook:")


async def _received(board: HttpClient) -> dict[str, datetime]:
    """When each delivery was stored, by its GUID."""
    received: dict[str, datetime] = {}
    cursor: str | None = ""
    while cursor is not None:
        answer = await board.request("GET", f"/api/v1/deliveries?limit=500{cursor}")
        page = msgspec.json.decode(answer.body, type=Page[DeliveryView])
        received |= {each.guid: each.received_at for each in page.items}
        cursor = f"&cursor={page.next}" if page.next else None
    return received
