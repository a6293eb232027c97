"""The loops over a real store and the sandbox GitHub in process, on virtual time, pass by pass."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest

from andon.github.client import GitHub
from andon.github.transport import FixedToken, Transport
from andon.loops.acts.table import acts
from andon.loops.apply_deliveries import ApplyDeliveries
from andon.loops.claims import ClaimDeadlines
from andon.loops.dispatch import Dispatch
from andon.loops.fleet import Fleet
from andon.loops.leadership import LEADER, Leadership
from andon.loops.outbox import Outbox
from andon.loops.sweep import Sweep
from andon.model.config import Config, Owner
from andon.model.nouns import Claim, Job
from andon.model.wire import SyncRequest
from andon.runtime.logging import logger
from andon.sim.sandbox.control import post
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.run_spec import JobSpec, RunSpec
from andon.sim.virtual_time import VirtualClock
from andon.store import claims, hosts, jobs
from andon.store.apply_news import apply_job_news
from andon.store.apply_sync import apply_report
from andon.store.leases import take
from andon.store.transaction import Store
from tests.support.builders import LABELS, a_config, a_pool, a_report, idle, job_news
from tests.support.contract_watch import watched
from tests.support.running import write


class _Log:
    """Keeps what must never be logged in these stories: faults of ours."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._log = logger("test")

    def info(self, event: str, **facts: Any) -> None:
        self._log.info(event, **facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._log.warning(event, **facts)

    def error(self, event: str, **facts: Any) -> None:
        self.faults.append(event)

    def exception(self, event: str, **facts: Any) -> None:
        self.faults.append(event)
        self._log.exception(event, **facts)


class World:
    """One fleet; every method is one step of one loop."""

    def __init__(self, store: Store, clock: VirtualClock, config: Config) -> None:
        self.store, self.clock, self.config = store, clock, config
        self.github = SandboxGitHub(clock, Random(5), base_url="http://github.test")
        self.log = _Log()
        self.counted: list[tuple[str, dict[str, str]]] = []
        self.calls: Counter[tuple[str, str]] = Counter()
        """Calls sent to GitHub, by endpoint and status."""
        self._transport = Transport(
            "http://github.test",
            FixedToken("a-token"),
            clock,
            count=lambda endpoint, status: self.calls.update([(endpoint, status)]),
            http_transport=httpx2.ASGITransport(app=watched(self.github)),
        )
        self._leadership = Leadership(store, clock, logger("test"), holder="me", alone=True)
        self._spare: Transport | None = None
        self.seq = 0
        self.configure(config)

    def configure(self, config: Config) -> None:
        """The control plane's parts, made anew as by a start with this configuration."""
        self.config = config
        self.fleet = Fleet(
            config=config,
            store=self.store,
            github=GitHub(self._transport),
            clock=self.clock,
            log=self.log,
            fleet_id="f",
            count=lambda name, /, **labels: self.counted.append((name, labels)),
            lease=self._leadership.lease,
        )
        self._sweep = Sweep(self.fleet)
        self._outbox = Outbox(self.fleet, acts(self.fleet), lambda: None)

    def another_process(self) -> GitHub:
        """GitHub as a process sees it that has asked nothing yet; the fleet goes on with it."""
        self._spare = self._transport
        self._transport = Transport(
            "http://github.test",
            FixedToken("a-token"),
            self.clock,
            count=lambda endpoint, status: self.calls.update([(endpoint, status)]),
            http_transport=httpx2.ASGITransport(app=watched(self.github)),
        )
        self.configure(self.config)
        return self.fleet.github

    async def start(self) -> None:
        await self.store.write(lambda tx: hosts.enrol(tx, "host-a", "aht_x"))
        await self.report(idle(0), idle(1))
        await self._leadership.run_once()

    async def report(self, *slots: Any, **changes: Any) -> None:
        self.seq += 1

        def work(tx: Any) -> None:
            host = hosts.get_host(tx.connection, "host-a")
            assert host is not None
            request: SyncRequest = a_report(slots or None, seq=self.seq, **changes)
            apply_report(tx, host, request, {pool.name: pool for pool in self.config.pool})

        await self.store.write(work)

    def run(self, *names: str, **changes: Any) -> list[int]:
        specs = [JobSpec(name=name, labels=LABELS) for name in names]
        spec = RunSpec(**{"repository": "acme/app", "jobs": tuple(specs), **changes})
        return list(self.github.create_run(spec)["jobs"])

    async def sweep(self) -> None:
        await self._sweep.read_everything()

    async def deliver(self) -> None:
        await ApplyDeliveries(self.fleet).run_once()

    async def dispatch(self) -> None:
        await Dispatch(self.fleet).run_once()

    async def deadlines(self) -> None:
        await ClaimDeadlines(self.fleet).run_once()

    async def act(self) -> None:
        """Performs what is due now, to its end."""
        await self._outbox.run_once()
        await self._outbox.stop(30)
        assert self.log.faults == [], "an act broke"

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self._leadership.run_once()

    async def claim_of(self, job_id: int) -> Claim | None:
        return await self.store.read(lambda connection: claims.live_claim_of_job(connection, job_id))

    async def the_claim(self, job_id: int) -> Claim:
        found = await self.claim_of(job_id)
        assert found is not None, f"no live claim of job {job_id}"
        return found

    async def claim(self, claim_id: str) -> Claim:
        found = await self.store.read(lambda connection: claims.get_claim(connection, claim_id))
        assert found is not None
        return found

    async def job(self, job_id: int) -> Job | None:
        return await self.store.read(lambda connection: jobs.get_job(connection, job_id))

    async def bind(self, claim: Claim) -> None:
        """GitHub says that the claim's job runs on the claim's runner."""
        news = job_news(claim.job_id or 0, "in_progress", runner_name=claim.runner_name, runner_id=claim.runner_id)
        await self.store.write(lambda tx: apply_job_news(tx, news, self.config))

    def cut_off(self) -> Callable[[], None]:
        """Nothing comes through to GitHub until what this gives is called."""
        client: Any = self._transport._client  # pyright: ignore[reportPrivateUsage]
        there = client._transport

        async def nothing(request: Any) -> Any:
            raise httpx2.ConnectError("no way", request=request)

        client._transport = httpx2.MockTransport(nothing)

        def back() -> None:
            client._transport = there

        return back

    def fault(self, **fault: Any) -> None:
        status, answer = post(self.github, "/_sandbox/faults", fault)
        assert status < 300, answer

    def cancel_the_run(self) -> None:
        (run,) = self.github.world.runs.values()
        self.github.runs.cancel(run)

    def registrations(self) -> set[str]:
        return {runner["name"] for runner in self.github.truth()["runners"] if runner["status"] != "removed"}

    async def close(self) -> None:
        await self._transport.close()
        if self._spare is not None:
            await self._spare.close()


@pytest.fixture
def play_fleet(store: Store, clock: VirtualClock) -> Fleet:
    """What a loop works with, for loops that need no GitHub; this process leads for as long as it likes."""
    held = write(store, lambda tx: take(tx, LEADER, "me", lasts=timedelta(days=36_500), alone=True))
    return Fleet(
        config=a_config(),
        store=store,
        github=None,  # pyright: ignore[reportArgumentType]
        clock=clock,
        log=logger("test"),
        fleet_id="f",
        count=lambda name, /, **labels: None,
        lease=lambda: held,
    )


Play = Callable[[Callable[[World], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(store: Store, clock: VirtualClock, tmp_path: Path) -> Play:
    """Plays one story in a world of one host with two slots."""

    def run(story: Callable[[World], Coroutine[Any, Any, None]], config: Config | None = None) -> None:
        async def main() -> None:
            default = a_config(pool=(a_pool(),), owner=(Owner(login="acme", repositories=("acme/app",)),))
            world = World(store, clock, config or default)
            try:
                await world.start()
                await story(world)
            finally:
                await world.close()

        asyncio.run(main())

    return run
