"""A fleet with work in flight: a claim in every state, and what else a stop or an outage leaves behind."""

from andon.model.claim_states import ClaimState
from andon.model.config import Config, Owner
from andon.model.wire import EndReport
from andon.sim.virtual_time import VirtualClock
from andon.store import claims, deliveries
from andon.store.transaction import Store
from tests.loops.conftest import World
from tests.support.builders import a_config, a_pool
from tests.support.played_host import PlayedHost

CONFIG = a_config(pool=(a_pool(),), owner=(Owner(login="acme", repositories=("acme/app",)),))
STATES = {
    "settled": "none",
    **{name: name for name in ("busy", "orphaned", "registered", "launched", "minted", "reserved")},
    "queued": "none",
}
"""How each job's claim stands once it has started, by the job's name."""


class Flight:
    """Claims in every state that there is, and what else a stop leaves behind."""

    def __init__(self, store: Store, clock: VirtualClock, config: Config = CONFIG) -> None:
        self.world = World(store, clock, config)
        self.host = PlayedHost(self.world.github, clock, count=8, seconds=lambda job: 40.0)
        self.jobs: dict[str, int] = {}

    async def start(self) -> None:
        """Leads, and takes one job after the other as far as its state wants it."""
        world, host, store = self.world, self.host, self.world.store
        await host.enrol(store)
        await self.sync()
        await world.pass_time(0)
        await self.claim("settled")
        await self.launch()
        while host.slots[0] is not None or not host.quiet:
            await world.pass_time(5)
            host.step()
            await world.sweep()
            await self.sync()
        await self.claim("busy")
        await self.launch()
        while (await world.the_claim(self.jobs["busy"])).state is not ClaimState.BUSY:
            host.step()
            await self.sync()
            await world.sweep()
        await self.claim("orphaned")
        await self.launch()
        await self.claim("registered")
        await self.launch()
        played = host.slots[(await world.the_claim(self.jobs["registered"])).slot]
        assert played is not None
        (played.runner,) = [each for each in world.github.world.runners.values() if each.name == played.name]
        played.session = world.github.runners.open_session(played.runner, version="2.336.0", os="linux")
        await self.sync()
        await self.claim("launched")
        await self.launch()
        await self.claim("minted")
        await world.act()
        # No act is performed from here on: what is asked for now waits in the outbox.
        lost = await world.the_claim(self.jobs["orphaned"])
        host.slots[lost.slot] = None
        ended = EndReport(claim=lost.id, generation=lost.generation, exit=1, at=world.clock.now())
        host._ended.append(ended)  # pyright: ignore[reportPrivateUsage]
        await self.sync()
        await self.claim("reserved")
        (self.jobs["queued"],) = world.run("queued")
        await world.sweep()
        await store.write(lambda tx: deliveries.keep(tx, guid="g-1", event="ping", action=None, body=b"{}"))

    async def claim(self, name: str) -> None:
        (self.jobs[name],) = self.world.run(name)
        await self.world.sweep()
        await self.world.dispatch()
        assert await self.world.claim_of(self.jobs[name]) is not None, name

    async def launch(self) -> None:
        """The newest claim's runner is minted and started, and its host says so."""
        await self.world.act()
        await self.sync()
        await self.sync()

    async def sync(self) -> None:
        await self.host.sync(self.world.store, dict(self.world.fleet.pools))

    async def states(self) -> dict[str, str]:
        """How each job's claim stands; a job without one has none."""
        found: dict[str, str] = {}
        for name, job_id in self.jobs.items():
            claim = await self.world.claim_of(job_id)
            found[name] = "none" if claim is None else claim.state.value
        return found

    def goes_on_with(self, store: Store) -> None:
        """Another process on another database: the host, its runners and GitHub are the same."""
        before = self.world
        self.world = World(store, before.clock, before.config)
        self.world._spare = self.world._transport  # pyright: ignore[reportPrivateUsage]
        self.world.github = before.github
        self.world._transport = before._transport  # pyright: ignore[reportPrivateUsage]
        self.world.seq = before.seq
        self.world.configure(before.config)

    async def to_the_end(self) -> None:
        world = self.world
        await world.pass_time(0)
        for _ in range(90):
            await world.deliver()
            await world.sweep()
            await world.dispatch()
            await world.act()
            await self.sync()
            self.host.step()
            await world.deadlines()
            if not await self.unfinished() and self.host.quiet:
                return
            await world.pass_time(8)
        raise AssertionError(f"never over: {await self.states()}")

    async def unfinished(self) -> list[str]:
        live = await self.world.store.read(lambda connection: claims.live_claims(connection))
        left = [claim.id for claim in live]
        for name, job_id in self.jobs.items():
            job = await self.world.job(job_id)
            if job is None or job.conclusion != "success":
                left.append(name)
        return left
