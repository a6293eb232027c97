"""Benchmark "ingest": durable webhooks a second, the product's endpoint beside a bare one, in turn.

Ours is `andon up` as a user starts it, with the sandbox as its GitHub: it applies what it acknowledged
while the next burst of a round is the other's. The bare one is `bare_ingest`. Afterwards every
acknowledged delivery is looked for in the two databases.
"""

import asyncio
import contextlib
import sqlite3
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import msgspec

from andon.rules.listen_address import ListenAddress
from andon.runtime.clock import Clock
from andon.runtime.environment import environment, without_secrets
from andon.runtime.errors import AndonError
from andon.sim.bench.figures import Figure, Result, figure, percentile
from andon.sim.bench.processor import busy, cpu_seconds
from andon.sim.bench.webhook_bodies import Bodies, Body, make_bodies
from andon.sim.bench.webhook_load import LoadPlan, LoadResult, guid_of
from andon.sim.sandbox.chance import Chance
from andon.sim.stage.fleet import Plan, StagedFleet
from andon.sim.stage.process import StageProcess

RATIO_BOUND = 0.60
P99_BOUND_MS = 100.0
EVEN_P99_BOUND_MS = 50.0
EVEN_RATE = 50.0
REPOSITORY = "octo-organisation/monorepo"
_PATIENCE_S = 300.0
_MS = 1000.0


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    rounds: int
    seconds: float = 2.0
    """Of each burst."""
    even_seconds: float = 20.0
    """Of the stream of 50 a second."""
    jobs: int = 1500
    """Whose bodies are sent; after the last one, the first again under a new GUID."""
    connections: int = 32


class Burst(msgspec.Struct, frozen=True, kw_only=True):
    """One burst at one server."""

    load: LoadResult
    server_cpu_s: float

    @property
    def rate(self) -> float:
        """Acknowledged deliveries a second."""
        return len(self.load.acked) / self.load.took_s

    def late(self, percent: float) -> float:
        """A percentile of the answers' times, in milliseconds."""
        return percentile(self.load.seconds, percent) * _MS


class Arm:
    """One server under test, with what it acknowledged."""

    def __init__(self, name: str, *, url: str, pid: int, database: Path, secret: str) -> None:
        self.name, self.database = name, database
        self._url, self._pid, self._secret = urlsplit(url), pid, secret
        self._guid = ""
        self._next = 0
        self.acked: list[str] = []

    async def take(self, bodies: Path, guid: str, **how: object) -> Burst:
        """Sends one load. Raises AndonError when anything but 202 was answered."""
        host, port = self._url.hostname, self._url.port
        assert host is not None and port is not None
        asked = {"host": host, "port": port, "path": "/webhooks/github", "secret": self._secret, "bodies": str(bodies)}
        plan = msgspec.convert({**asked, "guid": guid, "first": self._next, **how}, LoadPlan)
        before = cpu_seconds(self._pid)
        load = await _load(plan)
        cpu = cpu_seconds(self._pid) - before
        if load.refused:
            raise AndonError(f"The {self.name} refused {len(load.refused)} deliveries, first with {load.refused[0]}.")
        self._next += len(load.acked)
        self.acked += [guid_of(guid, number) for number in load.acked]
        return Burst(load=load, server_cpu_s=cpu)

    def missing(self) -> int:
        """Acknowledged deliveries that its database does not hold."""
        with contextlib.closing(_read_only(self.database)) as connection:
            stored = {row[0] for row in connection.execute("SELECT guid FROM deliveries")}
        return len(set(self.acked) - stored)


async def bench_ingest(*, counts: Counts, clock: Clock, chance: Chance, say: Callable[[str], None]) -> Result:
    """Bursts at both servers in turn, `counts.rounds` times, and then a stream of 50 a second at ours."""
    conditions = busy()
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as place:
        folder = Path(place)
        say(f"making the bodies of {counts.jobs} jobs ...")
        bodies = make_bodies(REPOSITORY, jobs=counts.jobs, clock=clock, chance=chance)
        size = median(len(one.body) for one in bodies.jobs) / 1000
        async with _servers(folder, clock) as (ours, bare):
            measured = _Measured(ours, bare, folder, bodies, counts, clock, say)
            await measured.warm_up()
            for number in range(1, counts.rounds + 1):
                await measured.round(number)
            even = await measured.evenly()
            missing = (ours.missing(), bare.missing())
    return Result(
        bench="ingest",
        conditions=f"SQLite FULL, bodies of {size:.1f} kB, {counts.connections} connections, {counts.rounds} pairs of "
        f"bursts of {counts.seconds:g} s in turn, load maker on the same machine, {conditions}",
        figures=_figures(measured, even, missing),
    )


class _Measured:
    """The two servers, what is sent to them, and what came of it so far."""

    def __init__(
        self,
        ours: Arm,
        bare: Arm,
        folder: Path,
        bodies: Bodies,
        counts: Counts,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self.ours_bursts: list[Burst] = []
        self.bare_bursts: list[Burst] = []
        self.applied: list[float] = []
        """Deliveries that ours applied a second, from the end of a burst until nothing waited."""
        self._ours, self._bare, self._counts, self._clock, self._say = ours, bare, counts, clock, say
        self._all_jobs = bodies
        self._runs = _kept(folder / "runs.json", bodies.runs)
        self._jobs = _kept(folder / "jobs.json", bodies.jobs)
        self._guid = guid_prefix(clock)

    async def warm_up(self) -> None:
        """Tells of the runs, so that nothing has to be asked of GitHub; then a short burst each."""
        counts = self._counts
        for arm in (self._ours, self._bare):
            await arm.take(self._runs, self._guid, requests=len(self._all_jobs.runs), connections=1)
            await arm.take(self._jobs, self._guid, seconds=counts.seconds / 4, connections=counts.connections)
        await self._until_applied()

    async def round(self, number: int) -> None:
        """One burst each; who begins alternates."""
        how = {"seconds": self._counts.seconds, "connections": self._counts.connections}
        for arm in (self._ours, self._bare) if number % 2 else (self._bare, self._ours):
            burst = await arm.take(self._jobs, self._guid, **how)
            if arm is self._ours:
                self.ours_bursts.append(burst)
                self.applied.append(await self._until_applied())
            else:
                self.bare_bursts.append(burst)
        ours, bare = self.ours_bursts[-1].rate, self.bare_bursts[-1].rate
        self._say(f"round {number} of {self._counts.rounds}: ours {ours:.0f}/s, bare {bare:.0f}/s")

    async def evenly(self) -> Burst:
        """Ours at 50 a second."""
        return await self._ours.take(
            self._jobs,
            self._guid,
            seconds=self._counts.even_seconds,
            rate=EVEN_RATE,
            connections=self._counts.connections,
        )

    async def _until_applied(self) -> float:
        """Waits until ours has applied everything, so that it does not disturb the other; deliveries a second."""
        began, first = self._clock.monotonic(), _waiting(self._ours.database)
        while left := _waiting(self._ours.database):
            if self._clock.monotonic() > began + _PATIENCE_S:
                raise AndonError(f"Ours did not apply {left} deliveries within {_PATIENCE_S:g} s.")
            await self._clock.sleep(0.02)
        return first / max(1e-3, self._clock.monotonic() - began)


def _figures(measured: _Measured, even: Burst, missing: tuple[int, int]) -> tuple[Figure, ...]:
    ours, bare = measured.ours_bursts, measured.bare_bursts

    def micros(bursts: list[Burst], cpu: Callable[[Burst], float]) -> list[float]:
        return [cpu(burst) / len(burst.load.acked) * 1e6 for burst in bursts]

    ratios = [own.rate / other.rate for own, other in zip(ours, bare, strict=True)]
    late = figure(
        "p99 of an answer, ours", [burst.late(99) for burst in ours], "ms", bound=P99_BOUND_MS, at_least=False
    )
    return (
        figure("webhooks a second, ours", [burst.rate for burst in ours], "1/s"),
        figure("webhooks a second, bare", [burst.rate for burst in bare], "1/s"),
        figure("ours / bare", ratios, "ratio", bound=RATIO_BOUND),
        figure("p50 of an answer, ours", [burst.late(50) for burst in ours], "ms"),
        late,
        figure("p99 of an answer, bare", [burst.late(99) for burst in bare], "ms"),
        figure("p50 at 50 a second, ours", [even.late(50)], "ms"),
        figure("p99 at 50 a second, ours", [even.late(99)], "ms", bound=EVEN_P99_BOUND_MS, at_least=False),
        figure("acknowledged and missing, ours", [missing[0]], "", bound=0, at_least=False),
        figure("acknowledged and missing, bare", [missing[1]], "", bound=0, at_least=False),
        figure("applied a second after a burst, ours", measured.applied, "1/s"),
        figure("processor time of a webhook, ours", micros(ours, lambda burst: burst.server_cpu_s), "us"),
        figure("processor time of a webhook, bare", micros(bare, lambda burst: burst.server_cpu_s), "us"),
        figure("processor time of the load maker", micros(ours + bare, lambda burst: burst.load.cpu_s), "us"),
    )


@contextlib.asynccontextmanager
async def _servers(folder: Path, clock: Clock) -> AsyncGenerator[tuple[Arm, Arm]]:
    """Both servers, each a process of its own."""
    place = folder / "ours"
    place.mkdir()
    fleet = StagedFleet(place, Plan(hosts=(), repository=REPOSITORY, sweep_s=3600.0), say=lambda _: None, clock=clock)
    started: list[StageProcess] = []
    try:
        await fleet.start(ListenAddress(host="127.0.0.1", port=0))
        secret_file, database = place / "webhook.secret", folder / "bare.db"
        secret = secret_file.read_text().strip()
        arguments = (str(database), str(secret_file))
        bare = await StageProcess.start(
            "bare server", arguments, log=folder / "bare.log", module="andon.sim.bench.bare_ingest"
        )
        started.append(bare)
        url = str((await bare.ready())["url"])
        control_plane = fleet.servers[1]
        yield (
            Arm(
                "control plane",
                url=fleet.board_url,
                pid=control_plane.pid,
                database=place / "andon.db",
                secret=secret,
            ),
            Arm("bare server", url=url, pid=bare.pid, database=database, secret=secret),
        )
    finally:
        for process in started:
            await process.end()
        await fleet.end()


async def _load(plan: LoadPlan) -> LoadResult:
    """Runs the load maker to its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "andon.sim.bench.webhook_load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=without_secrets(environment()),
        start_new_session=True,
    )
    try:
        out, said = await process.communicate(msgspec.json.encode(plan))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        lines = said.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise AndonError(f"The load maker failed: {lines[-1]}")
    return msgspec.json.decode(out, type=LoadResult)


def guid_prefix(clock: Clock) -> str:
    """The first 24 characters of GUIDs as GitHub makes them now: version 1, with the time inside."""
    ticks = int(clock.now().timestamp() * 10_000_000) + 0x01B21DD213814000
    return f"{ticks & 0xFFFFFFFF:08x}-{(ticks >> 32) & 0xFFFF:04x}-1{(ticks >> 48) & 0x0FFF:03x}-8000-"


def _kept(path: Path, bodies: tuple[Body, ...]) -> Path:
    path.write_bytes(msgspec.json.encode(bodies))
    return path


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)


def _waiting(path: Path) -> int:
    """How many deliveries ours has stored and not applied."""
    with contextlib.closing(_read_only(path)) as connection:
        return connection.execute("SELECT count(*) FROM deliveries WHERE state = 'stored'").fetchone()[0]
