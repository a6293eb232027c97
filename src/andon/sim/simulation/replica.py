"""One control plane of the simulation: the real composition, on the virtual loop, that can be ended by SIGKILL
and stopped by SIGSTOP. Several share one database, and lead in turn."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import msgspec

from andon.github.client import GitHub
from andon.github.transport import Credentials, Transport
from andon.loops.leadership import TERMS, Terms
from andon.loops.periods import Periods
from andon.model.config import Config
from andon.runtime.chance import Chance, seeded
from andon.runtime.ids import SortableIds
from andon.serve import Wiring
from andon.sim.loop_clock import LoopClock
from andon.sim.simulation.history import History
from andon.sim.simulation.in_process_http import Address
from andon.sim.simulation.played_spool import PlayedSpool
from andon.sim.simulation.played_store import Outage, PlayedListener, PlayedStore, Wakes
from andon.sim.simulation.processes import Process
from andon.sim.simulation.trace import Trace, TracedLog
from andon.store import jobs, meta
from andon.store.database import Unavailable
from andon.store.inline import Door, InlineDatabase
from andon.store.intake import Intake
from andon.store.listener import Listener
from andon.store.opening import Opened
from andon.store.rails import note_mode
from andon.store.spool import Spool
from andon.web.app import make_app
from andon.web.metrics import Metrics

WIDE = Periods(
    deliveries=60.0,
    dispatch=60.0,
    outbox=60.0,
    budgets=60.0,
    claims=60.0,
    hosts=10.0,
    incidents=15.0,
    knock=30.0,
    leadership=Terms(lasts=timedelta(minutes=30), trusted=timedelta(minutes=20), renew_s=300.0),
)
"""Nets for a control plane that is alone on its database and loses no nudge: a net that catches something
here would be late everywhere."""


SHARED = msgspec.structs.replace(WIDE, leadership=TERMS)
"""Among several the lease is played as it is: whoever stands still is replaced in 15 s."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What all replicas of one fleet share."""

    config: Config
    database: InlineDatabase
    database_clock: LoopClock
    data: Path
    address: Address
    github: Any
    outage: Outage
    wakes: Wakes | None
    """None for a control plane that is alone on its database."""
    history: History
    pause: Callable[[], Awaitable[None]]
    trace: Trace
    faults: list[str]
    credentials: Credentials


class Replica:
    """A control plane at an address. After `end` it can be started again, as another process."""

    def __init__(self, name: str, world: World, *, clock: LoopClock, chance: Chance) -> None:
        self.name, self.clock = name, clock
        self.stands_still = False
        self.spool = PlayedSpool()
        self._world, self._chance = world, chance
        self._process: Process | None = None
        self._door: Door | None = None
        self._transport: Transport | None = None
        self._starts = 0

    async def start(self) -> None:
        """As `andon up`: everything is made anew, and serves once this returns; `lives` says whether it does.
        Nothing when it is there already."""
        if self._process is not None:
            return
        self._starts += 1
        world = self._world
        process = self._process = Process(f"{self.name} {self._starts}")
        door = self._door = world.database.door(world.pause)
        log = TracedLog(world.trace, self.name, world.faults)
        ids = SortableIds(self.clock, seeded(f"{self._chance.getrandbits(64)}"))
        store = PlayedStore(
            self.name,
            door,
            self.clock,
            ids,
            outage=world.outage,
            wakes=world.wakes,
            lease_clock=world.database_clock,
            committed=world.history.committed,
        )
        metrics = Metrics()
        transport = self._transport = Transport(
            "http://github.test",
            world.credentials,
            store.clock,
            count=lambda endpoint, status: metrics.count("andon_github_calls_total", endpoint=endpoint, status=status),
            http_transport=world.github,
        )

        async def serve() -> None:
            fleet_id = await store.write(meta.fleet_id)
            await store.write(lambda tx: jobs.assign_pools(tx, world.config.pool))
            await store.write(lambda tx: note_mode(tx, world.config.rails.mode))
            wiring = Wiring(
                world.config,
                data=world.data,
                opened=self._opened(store),
                intake=Intake(store, cast("Spool", self.spool), log),  # pyright: ignore[reportArgumentType]
                github=GitHub(transport),
                metrics=metrics,
                clock=store.clock,
                replica=self.name,
                fleet_id=fleet_id,
                log=log,  # pyright: ignore[reportArgumentType]
                public_url="http://andon.test",
                periods=WIDE if world.wakes is None else SHARED,
            )
            await wiring.start()
            world.address.serve(make_app(wiring.control), process)

        try:
            await process.start(serve())
        except Unavailable as away:
            # Harsher than the real one, which waits and spools: it ends, and whatever supervises it starts it again.
            world.trace.note(self.name, "control.refused", reason=away)
            await self.end()
            return
        except BaseException:
            # Whoever started it was ended in the middle: half a control plane is none.
            await self.end()
            raise
        world.trace.note(self.name, "control.started", start=self._starts)

    def _opened(self, store: PlayedStore) -> Opened:
        wakes = self._world.wakes
        if wakes is None:
            return Opened(store=store, shared=False, where="memory", listen=None)
        return Opened(
            store=store,
            shared=True,
            where="memory",
            listen=lambda wake: cast("Listener", PlayedListener(wakes, self.name, wake)),
        )

    def stop(self) -> None:
        """SIGSTOP: it stands still, holding what it holds."""
        if self._process is not None:
            self._process.stop()
            self.stands_still = True
            self._world.trace.note(self.name, "control.stopped")

    def go_on(self) -> None:
        """SIGCONT."""
        if self._process is not None and self.stands_still:
            self._process.go_on()
            self._world.trace.note(self.name, "control.continued")
        self.stands_still = False

    async def end(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._door is not None and self._transport is not None:
            await self._process.end(before=self._door.cut_off)
            await self._transport.close()
            self._world.trace.note(self.name, "control.ended")
        self._process = None
        self.stands_still = False

    @property
    def lives(self) -> bool:
        """Whether its process is there, standing still or not."""
        return self._process is not None
