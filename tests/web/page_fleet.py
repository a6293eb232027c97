"""A control plane in process whose store is filled by the store's own functions, step by step."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import msgspec
import uvicorn
from sqlalchemy import insert, update
from starlette.applications import Starlette

from andon.model.budget import BudgetView
from andon.model.caches import CacheReport
from andon.model.claim_states import CLAIMS, ClaimEvent, ClaimState
from andon.model.config import Config, Owner, Pool, Rails, Server
from andon.model.disk import ClassTotal, Deletion, DiskLevel, DiskReport, GuardPass, PathClass, Pinned
from andon.model.host_states import HostObserved, Intent
from andon.model.journal import Entry
from andon.model.machine import Rejected
from andon.model.nouns import Claim
from andon.model.wire import SlotReport, SlotState
from andon.runtime.clock import SystemClock
from andon.runtime.ids import SortableIds
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock
from andon.store import budgets, claims, deliveries, hosts, pauses
from andon.store.apply_news import apply_job_news, apply_run_news
from andon.store.apply_sync import apply_report
from andon.store.claims import Change
from andon.store.intake import Intake
from andon.store.schema import hosts as hosts_table
from andon.store.schema import jobs as jobs_table
from andon.store.schema import slots as slots_table
from andon.store.spool import Spool
from andon.store.transaction import Store, Tx
from andon.web.app import make_app
from andon.web.control_plane import ControlPlane
from andon.web.metrics import Metrics
from andon.web.pages import PAGES
from tests.support.builders import a_claim, a_report, job_news, run_news, slot_of, the_end
from tests.support.running import read, write

POOLS = (
    Pool(name="linux", labels=("self-hosted", "linux"), trust="any"),
    Pool(name="gpu", labels=("self-hosted", "gpu"), trust="any"),
)
CONFIG = Config(pool=POOLS, owner=(Owner(login="acme"), Owner(login="small", max_slots=1)))


class _TimeOfTests(SystemClock):
    """The tests' time of day, and waiting in real seconds: streams and browsers live in those."""

    def __init__(self, day: VirtualClock) -> None:
        self._day = day

    def now(self) -> datetime:
        return self._day.now()


class PageFleet:
    """Fills the store the way reports and news would, and moves the clock."""

    def __init__(self, store: Store, clock: VirtualClock, config: Config = CONFIG) -> None:
        self.store, self.clock, self.config = store, clock, config
        self.missing: str | None = None
        self.control = ControlPlane(
            config=config,
            store=store,
            intake=Intake(
                store, Spool(Path("/proc/no-spool"), SortableIds(clock, Random(2))), logger("test"), patience_s=60.0
            ),
            clock=_TimeOfTests(clock),
            log=logger("test"),
            metrics=Metrics(),
            public_url="http://127.0.0.1:8470",
            started_at=clock.now(),
            webhook_secret="w",
            enrolment_secret="e",
            operator_token="operator-token",
            viewer_token="viewer-token",
            new_secret=lambda: "x",
            ready=lambda: self.missing,
        )
        store.on_nudges(lambda names: self.control.changes())
        self.app: Starlette = make_app(self.control, PAGES)
        self._slots: dict[str, list[SlotReport]] = {}
        self._seq = 0

    def do(self, work: Callable[[Tx], Any]) -> Any:
        return write(self.store, work)

    def host(self, name: str, *, slots: int = 4, pool: str = "linux", disk: Any = None) -> None:
        self.do(lambda tx: hosts.enrol(tx, name, f"token of {name}"))
        self._slots[name] = [SlotReport(slot=n, pool=pool, state=SlotState.IDLE) for n in range(slots)]
        self.report(name, disk=disk)

    def report(self, name: str, **changes: Any) -> None:
        """The host's agent says how its slots are."""
        self._seq += 1
        sync = a_report(tuple(self._slots[name]), host=name, seq=self._seq, agent_version="2026.11.0", **changes)
        pools = {pool.name: pool for pool in self.config.pool}

        def apply(tx: Tx) -> None:
            host = hosts.get_host(tx.connection, name)
            assert host is not None
            apply_report(tx, host, sync, pools)

        self.do(apply)

    def slot(self, name: str, number: int, **changes: Any) -> None:
        """The agent reports something else of one slot."""
        old = self._slots[name][number]
        fields: dict[str, Any] = {"slot": number, "pool": old.pool, "state": old.state, **changes}
        self._slots[name][number] = SlotReport(**fields)
        self.report(name)

    def intend(self, name: str, intent: Intent, *, slot: int | None = None, reason: str | None = None) -> None:
        if slot is None:
            change = update(hosts_table).where(hosts_table.c.name == name).values(intent=intent.value, reason=reason)
        else:
            change = (
                update(slots_table)
                .where(slots_table.c.host == name, slots_table.c.slot == slot)
                .values(intent=intent.value)
            )
        self.do(lambda tx: tx.connection.execute(change))

    def fall_silent(self, name: str) -> None:
        """Every other host reports once more; this one does not."""
        for other in self._slots:
            if other != name:
                self.report(other)
        self.do(lambda tx: hosts.fall_silent(tx, self.clock.now() - timedelta(seconds=45)))
        found = read(self.store, lambda connection: hosts.get_host(connection, name))
        assert found is not None and found.observed is HostObserved.SILENT

    def news(self, job_id: int, status: str, **changes: Any) -> None:
        now = self.clock.now()
        fields: dict[str, Any] = {
            "run_id": 9000 + job_id,
            "created_at": now,
            "started_at": now,
            "completed_at": now if status == "completed" else None,
            "order_at": now,
            **changes,
        }
        self.do(lambda tx: apply_job_news(tx, job_news(job_id, status, **fields), self.config))

    def run(self, job_id: int, **changes: Any) -> None:
        self.do(lambda tx: apply_run_news(tx, run_news(9000 + job_id, **changes)))

    def claim(self, job_id: int, host: str, slot: int, **changes: Any) -> Claim:
        pool = self._slots[host][slot].pool
        defaults: dict[str, Any] = {
            "job_id": job_id,
            "pool": pool,
            "host": host,
            "slot": slot,
            "runner_name": f"andon-f1-{host}-{slot}-{job_id:06d}",
            "created_at": self.clock.now(),
            "since": self.clock.now(),
            "deadline": self.clock.now() + CLAIMS.limit(ClaimState.RESERVED),
        }
        made = a_claim(f"clm_{job_id:06d}", **{**defaults, **changes})

        def write_it(tx: Tx) -> None:
            assert claims.reserve(tx, [made])
            tx.record(
                Entry(
                    actor="loop:dispatch",
                    kind="claim.reserved",
                    subject_kind="claim",
                    subject_id=made.id,
                    generation=1,
                    to_state="reserved",
                    reason=f"oldest waiting job of {made.owner} in pool {pool}; slot {host}/{slot} was free",
                    evidence={"runner": made.runner_name},
                    job_id=job_id,
                    host=host,
                )
            )

        self.do(write_it)
        return made

    def move(self, claim_id: str, event: ClaimEvent, reason: str, *, actor: str = "loop:claims") -> None:
        def change(tx: Tx) -> None:
            found = claims.get_claim(tx.connection, claim_id)
            assert found is not None
            moved = claims.advance(tx, found, Change(event=event, actor=actor, reason=reason))
            assert not isinstance(moved, Rejected), moved

        self.do(change)

    def launch(self, made: Claim, state: SlotState = SlotState.STARTING) -> None:
        """GitHub gave a runner and its process started."""
        self.move(made.id, ClaimEvent.MINTED, "GitHub gave a JIT config", actor="loop:outbox")
        self._slots[made.host][made.slot] = slot_of(made, state)
        self.report(made.host)

    def start(
        self, job_id: int, host: str, slot: int, *, starting_s: float = 6.0, owner: str = "acme", **names: Any
    ) -> Claim:
        """The whole way to a running job."""
        made = self.claim(job_id, host, slot, owner=owner)
        self.clock.advance(1)
        self.launch(made)
        self.clock.advance(starting_s)
        self._slots[host][slot] = slot_of(made, SlotState.RUNNING)
        self.report(host)
        self.news(job_id, "in_progress", runner_id=job_id, runner_name=made.runner_name, **names)
        return made

    def end(self, made: Claim, conclusion: str = "success", **how: Any) -> None:
        """GitHub says that the job is over, and the agent that its runner ended."""
        assert made.job_id is not None
        began = self.clock.now() - timedelta(seconds=40)
        self.news(
            made.job_id, "completed", conclusion=conclusion, runner_id=1, runner_name=made.runner_name, started_at=began
        )
        self._slots[made.host][made.slot] = SlotReport(slot=made.slot, pool=made.pool, state=SlotState.IDLE)
        self.report(made.host, ended=(the_end(made, **{"at": self.clock.now(), **how}),))

    def pause(self, owner: str, reason: str, seconds: float) -> None:
        until = self.clock.now() + timedelta(seconds=seconds)
        self.do(lambda tx: pauses.pause(tx, owner, reason=reason, until=until))

    def spend_quota(self) -> None:
        """Only the reserve is left of the quota at GitHub, which stretches the sweep."""
        resets_at = self.clock.now() + timedelta(minutes=9)
        sentence = "900 of 5000 calls are left, only the reserve, so nothing is sent."
        view = BudgetView(
            account="token",
            resource="core",
            owners=("acme",),
            limit=5000,
            remaining=900,
            reserve=1000,
            resets_at=resets_at,
            used=4000,
            refused=3,
            degraded=sentence,
            until=resets_at,
        )
        self.do(lambda tx: budgets.save(tx, [view]))
        self.control.sweep_s = lambda: {"acme": 240.0}

    def delivery(self, event: str) -> None:
        self.do(lambda tx: deliveries.keep(tx, guid=f"g-{event}", event=event, action=None, body=b"{}"))

    def many_waiting(self, number: int) -> None:
        now = self.clock.now()
        rows = [
            {
                "id": 500000 + n,
                "repository": "acme/app",
                "owner": "acme",
                "run_id": 1,
                "attempt": 1,
                "name": f"many {n}",
                "sha": "b" * 40,
                "labels": ["self-hosted", "linux"],
                "pool": "linux",
                "status": "queued",
                "created_at": now,
                "queued_at": now + timedelta(milliseconds=n),
                "observed_at": now,
            }
            for n in range(number)
        ]
        self.do(lambda tx: tx.connection.execute(insert(jobs_table), rows))

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """One request, in process."""

        async def ask() -> httpx2.Response:
            transport = httpx2.ASGITransport(self.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://andon") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(ask())


def fill_disks(fleet: PageFleet, *, days: float = 1.5, text: str = "") -> None:
    """Two hosts: one that fills up over time and is short at the end, one with room; `text` stands where hosts may
    say what they like."""
    gib = 2**30
    for name in ("host-a", "host-b"):
        fleet.host(name)
    steps = int(days * 144)
    for step in range(steps + 1):
        part = step / steps
        rise = ((step * 7 + 35) % 36) / 36
        sizes = {
            PathClass.LIVE: int((40 + 200 * part * rise) * gib),
            PathClass.DEAD: int((10 + 40 * (1 - rise)) * gib),
            PathClass.TRASH: int(6 * gib * (step % 3)),
            PathClass.BASE: 90 * gib,
            PathClass.CACHE: int((30 + 40 * part) * gib),
            PathClass.UNKNOWN: int(50 * gib * part),
        }
        free = max(10 * gib, 900 * gib - int(400 * gib * part) - sum(sizes.values()))
        short = free < 50 * gib
        classes = tuple(ClassTotal(path_class=name, bytes=size, count=3) for name, size in sizes.items())
        report = DiskReport(
            mount="/srv/andon",
            total=916 * gib,
            free=free,
            inodes=60_000_000,
            inodes_free=31_000_000,
            level=DiskLevel.HARD if short else DiskLevel.SOFT if free < 137 * gib else DiskLevel.OK,
            admits=not short,
            floor=20 * gib,
            full_in_s=5400.0 if short else None,
            slots=(0, 1, 2, 3),
            classes=(*classes, ClassTotal(path_class=PathClass.OTHER, count=2)),
        )
        if step == steps:
            pinned = (
                Pinned(
                    path=f"/srv/andon/runs/0/7-1-build-k3{text}",
                    by=f"process 4711 (cargo) works in it{text}",
                    bytes=47 * gib,
                ),
                Pinned(path="/srv/andon/runs/2/8-1-build-p9", by="a mount in another namespace holds it"),
            )
            passes = tuple(
                GuardPass(
                    at=fleet.clock.now() - timedelta(minutes=minutes), level=DiskLevel.HARD, removed=n, freed=freed
                )
                for minutes, n, freed in ((2, 0, -3 * gib), (12, 1, gib // 5), (22, 6, 41 * gib))
            )
            caches = tuple(
                CacheReport(
                    program="sccache",
                    owner=f"acme{number}{text}",
                    user=f"andon-{number}",
                    cap=20 * gib,
                    size=size,
                    hits=hits,
                    misses=misses,
                    window_s=21600,
                    trouble=trouble,
                )
                for number, (size, hits, misses, trouble) in enumerate(
                    (
                        (12 * gib, 1840, 120, None),
                        (20 * gib, 5, 811, None),
                        (None, 0, 0, f'"sccache" is not found on this host{text}'),
                    )
                )
            )
            report = msgspec.structs.replace(report, pinned=pinned, passes=passes, caches=caches)
        if step % 40 not in (20, 21, 22, 23, 24):
            fleet.report("host-a", disk=(report, DiskReport(mount="/", total=50 * gib, free=31 * gib, floor=2 * gib)))
            fleet.report("host-b", disk=(DiskReport(mount="/data", total=500 * gib, free=300 * gib, floor=20 * gib),))
        fleet.clock.advance(600)
    gone = [
        ("agent:guard", "its run is over, and space was needed", ()),
        ("agent:keeper", f"its job succeeded{text}", ()),
        ("foreign", "its lease was held", (f"process 815 (prune-targets.sh) had it open{text}",)),
    ]
    fleet.report(
        "host-a",
        deletions=tuple(
            Deletion(
                id=f"d-{number}",
                at=fleet.clock.now() - timedelta(minutes=9 - number),
                path=f"/srv/andon/runs/1/9-1-test-{number}{text}",
                path_class="dead",
                actor=actor,
                reason=reason,
                bytes=number * 9 * gib or None,
                lease=f"9-1-test-{number}",
                evidence=evidence,
            )
            for number, (actor, reason, evidence) in enumerate(gone)
        ),
    )


def with_token(config: Config) -> Config:
    return Config(pool=config.pool, owner=config.owner, server=Server(read="token"))


def observing(config: Config) -> Config:
    return Config(pool=config.pool, owner=config.owner, rails=Rails(mode="observe"))


def fill_busy(fleet: PageFleet) -> None:
    """Four hosts with four slots each, one of them silent, and jobs that wait for several reasons."""
    disk = (DiskReport(mount="/", total=512 * 2**30, free=212 * 2**30),)
    for name in ("host-a", "host-b", "host-c"):
        fleet.host(name, disk=disk)
    fleet.host("gpu-1", pool="gpu", disk=(msgspec.structs.replace(disk[0], free=40 * 2**30, level=DiskLevel.HARD),))
    fleet.clock.advance(3600)
    names = ("build (ubuntu, release)", "test (a)", "test (b)", "lint", "integration / database", "docs", "package")
    made: list[Claim] = []
    place = [("host-a", 0), ("host-a", 1), ("host-a", 2), ("host-b", 0), ("host-b", 1), ("host-b", 2), ("gpu-1", 0)]
    for number, (host, slot) in enumerate(place):
        repository = ("acme/app", "acme/compiler", "acme/website-and-documentation")[number % 3]
        names_of = {
            "repository": repository,
            "name": names[number],
            "branch": ("main", "fix/flaky-clock", "renovate/all-minor-patch")[number % 3],
            "labels": ("self-hosted", "gpu" if host.startswith("gpu") else "linux"),
        }
        for job_id in (100 + number, 200 + number):
            fleet.news(job_id, "queued", **names_of)
            fleet.clock.advance(7 + 3 * number)
            made.append(fleet.start(job_id, host, slot, **names_of))
            fleet.clock.advance(41 + 13 * number)
            if job_id < 200:
                failed = number in (1, 4)
                fleet.end(made[-1], "failure" if failed else "success", tail="\x1b[36;1mRunning job: test (a)\x1b[0m\n")
    fleet.news(300, "queued", name="bench", repository="acme/compiler", branch="main")
    fleet.launch(fleet.claim(300, "host-c", 0))
    fleet.slot("host-c", 1, state=SlotState.UNAVAILABLE, note="the command ./run.sh is not there")
    fleet.intend("host-c", Intent.CORDONED, slot=2)
    fleet.intend("host-c", Intent.QUARANTINED, slot=3)
    fleet.intend("gpu-1", Intent.DRAINING, reason="kernel update tonight")
    for job_id, name, labels in (
        (400, "e2e (chrome)", ("self-hosted", "gpu")),
        (401, "train / nightly", ("self-hosted", "gpu")),
        (402, "sign", ("self-hosted", "macos")),
    ):
        fleet.news(job_id, "queued", name=name, labels=labels, branch="main", repository="acme/app")
        fleet.clock.advance(19)
    own = {"name": "release", "repository": "small/tool", "branch": "v2.1"}
    fleet.news(207, "queued", **own)
    fleet.clock.advance(5)
    fleet.start(207, "host-a", 3, owner="small", **own)
    fleet.news(403, "queued", name="test", repository="small/tool", labels=("self-hosted", "linux"), branch="main")
    fleet.news(404, "waiting", name="deploy to production", repository="acme/app", branch="main")
    fleet.news(405, "pending", name="publish", repository="acme/website-and-documentation", branch="main")
    fleet.news(406, "queued", name="test (c)", repository="acme/app", branch="fix/flaky-clock")
    fleet.clock.advance(94)
    fleet.fall_silent("host-b")
    fleet.clock.advance(46)


class _Announcing(uvicorn.Server):
    """Says when it is started; leaves the signals to the test run."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Served:
    """The pages over real HTTP on a port of their own, on an event loop in a thread."""

    def __init__(self, fleet: PageFleet) -> None:
        config = uvicorn.Config(
            fleet.app, host="127.0.0.1", port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=3
        )
        self._fleet, self._server = fleet, _Announcing(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._server.serve()))
        self._thread.start()
        assert self._server.up.wait(20)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        # The store wakes from the thread of the test; nudges belong to the loop of the server.
        fleet.store.on_nudges(lambda names: self._in_loop(fleet.control.changes))

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(call)

    def stop(self) -> None:
        """Ends the server; streams notice through the control plane."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._fleet.control.stop)
            self._server.should_exit = True
            self._thread.join(20)
        assert not self._thread.is_alive()
        self._loop.close()


@contextmanager
def served(fleet: PageFleet) -> Iterator[str]:
    """`Served` for a while; gives its address."""
    server = Served(fleet)
    try:
        yield server.url
    finally:
        server.stop()
