"""One control plane of the simulation: the real composition, on the virtual loop, that can be ended by SIGKILL."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from andon.github.client import GitHub
from andon.github.transport import Credentials, FixedToken, Transport
from andon.loops.leadership import Terms
from andon.loops.periods import Periods
from andon.model.config import Config
from andon.runtime.chance import Chance, seeded
from andon.runtime.ids import SortableIds
from andon.serve import Wiring
from andon.sim.simulation.in_process_http import Address
from andon.sim.simulation.processes import Process
from andon.sim.simulation.trace import Trace, TracedLog
from andon.sim.virtual_loop import LoopClock
from andon.store import jobs, meta
from andon.store.deliveries import Received
from andon.store.inline import Door, InlineDatabase
from andon.store.intake import Intake
from andon.store.opening import Opened
from andon.store.rails import note_mode
from andon.store.spool import Spool
from andon.store.transaction import Store
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


class _NoSpool:
    """The database in memory is never away; a spool would be a disk and its threads."""

    waiting = False

    def look_around(self) -> None:
        """Nothing lies anywhere."""

    async def keep(self, received: Received) -> None:
        raise OSError("the simulation has no spool")


class Replica:
    """A control plane at an address. After `end` it can be started again, as another process."""

    def __init__(
        self,
        name: str,
        *,
        config: Config,
        database: InlineDatabase,
        data: Path,
        address: Address,
        github: Any,
        clock: LoopClock,
        chance: Chance,
        pause: Callable[[], Awaitable[None]],
        trace: Trace,
        faults: list[str],
        periods: Periods = WIDE,
        credentials: Credentials | None = None,
    ) -> None:
        self.name, self.clock, self._periods = name, clock, periods
        self._config, self._database, self._data = config, database, data
        self._address, self._github, self._chance, self._pause = address, github, chance, pause
        self._trace, self._faults = trace, faults
        self._credentials = credentials or FixedToken("a-token")
        self._process: Process | None = None
        self._door: Door | None = None
        self._transport: Transport | None = None
        self._starts = 0

    async def start(self) -> None:
        """As `andon up`: everything is made anew, and serves once this returns."""
        self._starts += 1
        process = self._process = Process(f"{self.name} {self._starts}")
        door = self._door = self._database.door(self._pause)
        log = TracedLog(self._trace, self.name, self._faults)
        ids = SortableIds(self.clock, seeded(f"{self._chance.getrandbits(64)}"))
        store = Store(door, self.clock, ids)
        metrics = Metrics()
        transport = self._transport = Transport(
            "http://github.test",
            self._credentials,
            self.clock,
            count=lambda endpoint, status: metrics.count("andon_github_calls_total", endpoint=endpoint, status=status),
            http_transport=self._github,
        )

        async def serve() -> None:
            fleet_id = await store.write(meta.fleet_id)
            await store.write(lambda tx: jobs.assign_pools(tx, self._config.pool))
            await store.write(lambda tx: note_mode(tx, self._config.rails.mode))
            wiring = Wiring(
                self._config,
                data=self._data,
                opened=Opened(store=store, shared=False, where="memory", listen=None),
                intake=Intake(store, cast("Spool", _NoSpool()), log),  # pyright: ignore[reportArgumentType]
                github=GitHub(transport),
                metrics=metrics,
                clock=self.clock,
                replica=self.name,
                fleet_id=fleet_id,
                log=log,  # pyright: ignore[reportArgumentType]
                public_url="http://andon.test",
                periods=self._periods,
            )
            # The spool's folder does not exist here.
            del wiring.loops["spool"]
            await wiring.start()
            self._address.serve(make_app(wiring.control), process)

        await process.start(serve())
        self._trace.note(self.name, "control.started", start=self._starts)

    async def end(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._door is not None and self._transport is not None:
            await self._process.end(before=self._door.cut_off)
            await self._transport.close()
            self._trace.note(self.name, "control.ended")
        self._process = None

    @property
    def lives(self) -> bool:
        return self._process is not None
