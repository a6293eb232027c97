"""The control plane is ended at every commit and at every call to GitHub, before and after it, and
starts again on the same database: no job is lost, none has two runners, nobody lends a hand (R14)."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

import httpx2
from sqlalchemy import Connection, delete

from andon.github.client import GitHub
from andon.github.transport import FixedToken, Transport
from andon.loops.acts.table import acts
from andon.loops.apply_deliveries import ApplyDeliveries
from andon.loops.claims import ClaimDeadlines
from andon.loops.dispatch import Dispatch
from andon.loops.fleet import Fleet
from andon.loops.hosts import HostLiveness
from andon.loops.leadership import Leadership
from andon.loops.outbox import Outbox
from andon.loops.sweep import Sweep
from andon.model.config import GitHub as GitHubConfig
from andon.model.config import Owner
from andon.model.job_states import JobStatus
from andon.runtime.ids import SortableIds
from andon.runtime.logging import logger
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.run_spec import JobSpec, RunSpec
from andon.sim.virtual_time import VirtualClock
from andon.store import claims, deliveries, dispatch_postgres, jobs
from andon.store.schema import PENDING, metadata, outbox
from andon.store.transaction import Store, Tx
from tests.support.builders import LABELS, a_config, a_pool
from tests.support.contract_watch import watched
from tests.support.databases import Place
from tests.support.played_host import PlayedHost

T = TypeVar("T")
CONFIG = a_config(
    pool=(a_pool(),),
    owner=(Owner(login="acme", repositories=("acme/app",)),),
    github=GitHubConfig(sweep_seconds=20),
)
ROUND_S = 2.0
MOST_ROUNDS = 240
"""Eight minutes: the longest deadline on the way, and what follows from it."""


class Ended(BaseException):
    """The process is gone: no handler of ours may see it as an error and go on."""


class Ending:
    """Counts the boundaries of one life of the control plane, and ends it at one of them."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.reached: list[str] = []
        self.over = False

    def pass_by(self, boundary: str) -> None:
        if self.over:
            raise Ended
        self.reached.append(boundary)
        if len(self.reached) == self.at:
            self.over = True
            raise Ended


class EndingStore(Store):
    """A store whose process can end before a commit and after it."""

    ending: Ending

    async def write(self, work: Callable[[Tx], T]) -> T:
        self.ending.pass_by("before a commit")
        result = await super().write(work)
        self.ending.pass_by("after a commit")
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        if self.ending.over:
            raise Ended
        return await super().read(work)


class EndingWire(httpx2.AsyncBaseTransport):
    """The way to GitHub: the process can end before a call is sent and after it was carried out."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, ending: Ending) -> None:
        self._inner, self._ending = inner, ending

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._ending.pass_by(f"before {request.method}")
        answer = await self._inner.handle_async_request(request)
        self._ending.pass_by(f"after {request.method}")
        return answer


class Control:
    """One life of a control plane."""

    def __init__(self, place: Place, clock: VirtualClock, github: SandboxGitHub, ending: Ending, life: int) -> None:
        self.database = place.open()
        self.store = EndingStore(self.database, clock, SortableIds(clock, Random(life)))
        self.store.ending = ending
        self.transport = Transport(
            "http://github.test",
            FixedToken("a-token"),
            clock,
            http_transport=EndingWire(httpx2.ASGITransport(app=watched(github)), ending),
        )
        self._leadership = Leadership(self.store, clock, logger("test"), holder=f"life-{life}", alone=True)
        fleet = Fleet(
            config=CONFIG,
            store=self.store,
            github=GitHub(self.transport),
            clock=clock,
            log=logger("test"),
            fleet_id="f",
            count=lambda name, /, **labels: None,
            lease=self._leadership.lease,
        )
        self._outbox = Outbox(fleet, acts(fleet), lambda: None)
        self._loops = (
            self._leadership,
            ApplyDeliveries(fleet),
            Dispatch(fleet),
            self._outbox,
            ClaimDeadlines(fleet),
            HostLiveness(fleet),
            Sweep(fleet),
        )

    async def receive(self, headers: dict[str, str], body: bytes) -> None:
        """What the webhook endpoint does once the signature is right."""
        guid, event = headers["X-GitHub-Delivery"], headers["X-GitHub-Event"]
        await self.store.write(lambda tx: deliveries.keep(tx, guid=guid, event=event, action=None, body=body))

    async def pass_once(self) -> None:
        """One pass of every loop."""
        for loop in self._loops:
            await loop.run_once()
            if loop is self._outbox:
                await self._outbox.stop(30)
        if self.store.ending.over:
            raise Ended

    async def close(self) -> None:
        await self._outbox.stop(0)
        await self.transport.close()
        self.database.close()


class Scenario:
    """Two jobs, the second needs the first; webhooks may fail, nothing is sent twice."""

    def __init__(self, place: Place, ending: Ending) -> None:
        self.place = place
        self.clock = VirtualClock()
        self.github = SandboxGitHub(self.clock, Random(3), base_url="http://github.test")
        self.host = PlayedHost(github=self.github, clock=self.clock)
        self.ending = ending
        self.lives = 0
        self.control = self._start()

    def _start(self) -> Control:
        self.lives += 1
        return Control(self.place, self.clock, self.github, self.ending, self.lives)

    async def play(self) -> None:
        try:
            await self.host.enrol(self.control.store)
        except Ended:
            await self._again()
            await self.host.enrol(self.control.store)
        self.github.world.make_repository("acme/app")
        self.github.hooks.create(
            "acme/app",
            target_id=7,
            url="http://receiver.invalid/",
            content_type="json",
            secret="s",
            events=("workflow_job", "workflow_run"),
            active=True,
        )
        specs = (JobSpec(name="build", labels=LABELS), JobSpec(name="test", labels=LABELS, needs=("build",)))
        self.github.create_run(RunSpec(repository="acme/app", jobs=specs))
        for _ in range(MOST_ROUNDS):
            await self._round()
            if await self._is_over():
                return
            self.clock.advance(ROUND_S)
        raise AssertionError(f"not over after {MOST_ROUNDS} rounds: {self.github.truth()['jobs']}")

    async def _round(self) -> None:
        self.github.tick()
        for step in (self._deliver, self._loops, self._sync):
            try:
                await step()
            except Ended:
                await self._again()
        self.host.step()

    async def _deliver(self) -> None:
        for outgoing in self.github.hooks.take(100):
            try:
                await self.control.receive(dict(outgoing.headers), outgoing.body)
            except Ended:
                self.github.hooks.report(outgoing.send, 502, "failed", 0.01)
                raise
            self.github.hooks.report(outgoing.send, 202, "OK", 0.01)

    async def _loops(self) -> None:
        await self.control.pass_once()

    async def _sync(self) -> None:
        await self.host.sync(self.control.store, {pool.name: pool for pool in CONFIG.pool})

    async def _again(self) -> None:
        """A new process on the same database: nothing of the old one is left but what is durable."""
        await self.control.close()
        self.ending.over, self.ending.at = False, None
        self.control = self._start()

    async def _is_over(self) -> bool:
        def look(connection: Connection) -> bool:
            known = [jobs.get_job(connection, job_id) for job_id in self.github.world.jobs]
            settled = len(known) == 2 and all(job and job.status is JobStatus.COMPLETED for job in known)
            pending = connection.execute(outbox.select().where(PENDING)).first()
            return settled and not claims.live_claims(connection) and pending is None

        return self.host.quiet and await self.control.store.read(look)

    def check(self, boundary: str) -> None:
        truth = self.github.truth()
        where = f"ended {boundary}"
        assert [job["conclusion"] for job in truth["jobs"]] == ["success", "success"], where
        for job in truth["jobs"]:
            took = [change for change in job["history"] if change["what"] == "in_progress"]
            assert len(took) == 1, f"{where}: job {job['name']} was run {len(took)} times"
        assert len(self.host.started) == 2, f"{where}: {len(self.host.started)} runners were started for two jobs"
        assert {each["status"] for each in truth["runners"]} <= {"removed"}, f"{where}: a registration was left behind"


async def play(place: Place, at: int | None) -> tuple[Ending, Scenario]:
    ending = Ending(at)
    scenario = Scenario(place, ending)
    try:
        await scenario.play()
        scenario.check(ending.reached[at - 1] if at else "nowhere")
        return ending, scenario
    finally:
        ending.over, ending.at = False, None

        def wipe(connection: Connection) -> None:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))

        await scenario.control.database.write(wipe)
        await scenario.control.close()


def some(reached: list[str], step: int) -> list[int]:
    """Every `step`th boundary, and the first of each name."""
    return sorted({*range(1, len(reached) + 1, step), *(reached.index(name) + 1 for name in set(reached))})


def test_ended_at_any_commit_and_any_call(place: Place, count: Callable[[int], int]) -> None:
    async def main() -> None:
        ending, _ = await play(place, None)
        boundaries = len(ending.reached)
        assert {"before POST", "after POST", "before a commit"} <= set(ending.reached)
        # The slower database gets fewer of them in the short run; in the proof each gets all.
        step = 1 if count(10) == 10 else 10 if place.kind == "sqlite" else 30
        ended = 0
        for at in some(ending.reached, step):
            _, scenario = await play(place, at)
            assert scenario.lives == 2, f"it did not end at boundary {at}"
            ended += 1
        print(f"\n{ended} of {boundaries} boundaries: every job once, nothing left behind")

    asyncio.run(main())


def test_a_control_plane_that_forgot_an_order_would_be_found(place: Place, monkeypatch: Any) -> None:
    """The check can fail: without its outbox row a claim's runner is minted by nobody."""
    monkeypatch.setattr(Tx, "order", lambda self, kind, **facts: None)
    monkeypatch.setattr(dispatch_postgres, "reserve", lambda tx, wanted, policy: claims.reserve(tx, wanted))
    monkeypatch.setitem(globals(), "MOST_ROUNDS", 10)

    async def main() -> None:
        await play(place, None)

    try:
        asyncio.run(main())
    except AssertionError as error:
        assert "not over" in str(error)
    else:
        raise AssertionError("the scenario ended although nothing was ever minted")
