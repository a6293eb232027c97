"""The composition root of the control plane: makes every part, starts the loops, serves HTTP.

The only place that knows all rooms below it. Stopping takes no more work, lets acts under way end,
and leaves jobs and runners alone (R25).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from pathlib import Path

from andon.github.client import GitHub
from andon.github.transport import FixedToken, Transport
from andon.loops.acts.table import acts
from andon.loops.apply_deliveries import ApplyDeliveries
from andon.loops.claims import ClaimDeadlines
from andon.loops.dispatch import Dispatch
from andon.loops.fleet import Fleet
from andon.loops.hosts import HostLiveness
from andon.loops.leadership import RENEW_S, Leadership
from andon.loops.outbox import Outbox
from andon.loops.sweep import Sweep
from andon.model.config import Config
from andon.rules.listen_address import parse_listen
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.files import make_secret, read_secret
from andon.runtime.ids import Ids, new_secret
from andon.runtime.logging import Logger, logger
from andon.runtime.loop import Loop
from andon.store import jobs, meta
from andon.store.database import SqliteDatabase
from andon.store.migrate import migrate
from andon.store.transaction import Store
from andon.web.app import make_app
from andon.web.control_plane import ControlPlane
from andon.web.http_server import Tls, listening_socket, serving, url_of
from andon.web.metrics import Metrics
from andon.web.pages import PAGES

ACTS_END_S = 3.0
"""How long acts under way may take once a stop was asked for; with the requests' 3 s: exit in <= 10 s."""


def database_path(config: Config, data: Path) -> Path:
    """The SQLite file that `[server] database` names, below `data` when it is relative."""
    url = config.server.database
    if not url.startswith("sqlite:///"):
        raise Refused(f'"{url}": this version serves sqlite:/// databases only. Name a file, as sqlite:///andon.db.')
    return data / url.removeprefix("sqlite:///")


def open_store(path: Path, clock: Clock, ids: Ids) -> Store:
    """The migrated store at `path`. Raises Refused for a database in use or of a newer version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return Store(SqliteDatabase(path, lambda engine: migrate(engine, str(path))), clock, ids)


class Wiring:
    """The parts of one control plane and the loops between them."""

    def __init__(
        self,
        config: Config,
        *,
        data: Path,
        store: Store,
        github: GitHub,
        metrics: Metrics,
        clock: Clock,
        ids: Ids,
        fleet_id: str,
        log: Logger,
        public_url: str,
    ) -> None:
        server = config.server
        self._clock, self._log, self._metrics = clock, log, metrics
        leadership = Leadership(store, clock, log, holder=ids.new("rep"), alone=True)
        self.fleet = Fleet(
            config=config,
            store=store,
            github=github,
            clock=clock,
            log=log,
            fleet_id=fleet_id,
            count=metrics.count,
            lease=leadership.lease,
        )
        self._outbox = Outbox(self.fleet, acts(self.fleet), lambda: self.loops["outbox"].nudge())
        poll = config.github.ingest == "poll"
        sweep_period = config.github.poll_seconds if poll else config.github.sweep_seconds
        self.loops = {
            "leadership": self._loop("leadership", leadership.run_once, RENEW_S),
            "deliveries": self._loop("deliveries", ApplyDeliveries(self.fleet).run_once, 5.0),
            "dispatch": self._loop("dispatch", Dispatch(self.fleet).run_once, 5.0),
            "outbox": self._loop("outbox", self._outbox.run_once, 5.0),
            "claims": self._loop("claims", ClaimDeadlines(self.fleet).run_once, 10.0),
            "hosts": self._loop("hosts", HostLiveness(self.fleet).run_once, 5.0),
            "sweep": self._loop("sweep", Sweep(self.fleet).run_once, sweep_period),
        }
        self._leadership = leadership
        self.control = ControlPlane(
            config=config,
            store=store,
            clock=clock,
            log=log,
            metrics=metrics,
            public_url=public_url,
            started_at=clock.now(),
            webhook_secret=read_secret(data / config.github.webhook_secret_file, what="webhook secret"),
            enrolment_secret=make_secret(data / server.agent_token_file, what="enrolment secret"),
            operator_token=make_secret(data / server.operator_token_file, what="operator token"),
            viewer_token=read_secret(data / server.viewer_token_file, what="viewer token")
            if server.read == "token"
            else None,
            new_secret=new_secret,
            ready=self._missing,
        )
        store.on_nudges(self._wake)

    def _loop(self, name: str, run_once: Callable[[], Awaitable[float | None]], period: float) -> Loop:
        return Loop(
            name,
            run_once,
            period=period,
            clock=self._clock,
            log=self._log,
            on_success=lambda loop: self._metrics.loop_succeeded(loop, self._clock.now()),
        )

    def _wake(self, names: Iterable[str]) -> None:
        for name in names:
            if name.startswith("host:"):
                self.control.host_nudge(name.removeprefix("host:"))()
            elif (loop := self.loops.get(name)) is not None:
                loop.nudge()
        self.control.changes()

    def _missing(self) -> str | None:
        if self._leadership.lease() is None:
            return "Another control plane leads, or the database does not answer."
        behind = [name for name in ("deliveries", "dispatch", "outbox") if not self.loops[name].passes.version]
        return f"Not through their first pass: {', '.join(behind)}." if behind else None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """The loops run inside; afterwards acts under way are given time to end."""
        await self._leadership.run_once()
        tasks = [asyncio.create_task(loop.run(), name=f"loop {name}") for name, loop in self.loops.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._outbox.stop(ACTS_END_S)


async def serve_control_plane(
    config: Config,
    *,
    data: Path,
    clock: Clock,
    ids: Ids,
    announce: Callable[[dict[str, object]], None],
    stop: asyncio.Event,
    pid: int,
) -> None:
    """Serves until `stop` is set. Raises Refused before anything is announced when it cannot.

    `announce` gets the ready line's content once HTTP is answered.
    """
    log = logger("control-plane")
    address = parse_listen(config.server.listen)
    if address is None:
        raise Refused(f'listen = "{config.server.listen}" is no HOST:PORT. Write, for example, 127.0.0.1:8470.')
    listener = listening_socket(address.host, address.port)
    try:
        store = open_store(database_path(config, data), clock, ids)
    except BaseException:
        listener.close()
        raise
    metrics = Metrics()
    transport = Transport(
        config.github.api_url,
        FixedToken(read_secret(data / (config.github.token_file or "github.token"), what="GitHub token")),
        clock,
        count=lambda endpoint, status: metrics.count("andon_github_calls_total", endpoint=endpoint, status=status),
    )
    try:
        fleet_id = await store.write(meta.fleet_id)
        moved = await store.write(lambda tx: jobs.assign_pools(tx, config.pool))
        url = url_of(listener, "https" if config.server.tls_cert_file else "http")
        wiring = Wiring(
            config,
            data=data,
            store=store,
            github=GitHub(transport),
            metrics=metrics,
            clock=clock,
            ids=ids,
            fleet_id=fleet_id,
            log=log,
            public_url=config.server.public_url or url,
        )
        app = make_app(wiring.control, PAGES)
        log.info("controlplane.started", url=url, fleet=fleet_id, jobs_moved_between_pools=moved)
        http = serving(app, listener, before_stop=wiring.control.stop, tls=_tls(config, data))
        async with wiring.running(), http:
            announce({"ready": True, "url": url, "pid": pid})
            await stop.wait()
    finally:
        await transport.close()
        store.close()
        listener.close()
        log.info("controlplane.stopped")


def _tls(config: Config, data: Path) -> Tls | None:
    server = config.server
    if server.tls_cert_file is None or server.tls_key_file is None:
        return None
    return Tls(certificate=data / server.tls_cert_file, key=data / server.tls_key_file)
