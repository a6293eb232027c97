"""The composition root of the control plane: makes every part, starts the loops, serves HTTP.

The only place that knows all rooms below it. Stopping takes no more work, lets acts under way end,
and leaves jobs and runners alone (R25).
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

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
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.files import make_secret, read_secret
from andon.runtime.ids import Ids, new_secret
from andon.runtime.logging import Logger, logger
from andon.runtime.loop import Loop
from andon.store import jobs, meta
from andon.store.database import SqliteDatabase, sqlite_engine
from andon.store.migrate import migrate
from andon.store.transaction import Store
from andon.web.app import make_app
from andon.web.control_plane import ControlPlane
from andon.web.metrics import Metrics
from andon.web.pages import PAGES

STOP_SECONDS = 6.0
"""How long acts and requests under way may take once a stop was asked for: exit in <= 10 s."""


def database_path(config: Config, data: Path) -> Path:
    """The SQLite file that `[server] database` names, below `data` when it is relative."""
    url = config.server.database
    if not url.startswith("sqlite:///"):
        raise Refused(f'"{url}": this version serves sqlite:/// databases only. Name a file, as sqlite:///andon.db.')
    return data / url.removeprefix("sqlite:///")


def open_store(path: Path, clock: Clock, ids: Ids) -> Store:
    """The migrated store at `path`. Raises Refused for a database in use or of a newer version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = SqliteDatabase(path)
    try:
        engine = sqlite_engine(path)
        try:
            migrate(engine, str(path))
        finally:
            engine.dispose()
    except BaseException:
        database.close()
        raise
    return Store(database, clock, ids)


def listening_socket(listen: str) -> socket.socket:
    """A bound socket for HOST:PORT; port 0 takes a free one. Raises Refused with one sentence."""
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host.strip("[]"), int(port)))
    except OSError as error:
        made.close()
        raise Refused(f"{listen}: cannot listen there ({error.strerror}). Free the port, or name another.") from None
    made.listen(512)
    made.set_inheritable(False)
    return made


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
            await self._outbox.stop(STOP_SECONDS / 2)


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
    listener = listening_socket(config.server.listen)
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
        url = _url(config, listener)
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
        async with wiring.running():
            await _serve_http(
                app, config, data, listener, stop, lambda: announce({"ready": True, "url": url, "pid": pid})
            )
    finally:
        await transport.close()
        store.close()
        listener.close()
        log.info("controlplane.stopped")


def _url(config: Config, listener: socket.socket) -> str:
    scheme = "https" if config.server.tls_cert_file else "http"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


async def _serve_http(
    app: Starlette,
    config: Config,
    data: Path,
    listener: socket.socket,
    stop: asyncio.Event,
    announce: Callable[[], None],
) -> None:
    server_config = config.server
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            # Proxies' words about clients are believed only where the owner declared one.
            proxy_headers=False,
            timeout_graceful_shutdown=int(STOP_SECONDS / 2),
            ssl_certfile=data / server_config.tls_cert_file if server_config.tls_cert_file else None,
            ssl_keyfile=str(data / server_config.tls_key_file) if server_config.tls_key_file else None,
        )
    )
    # The command owns the signals; uvicorn's own handlers would end the process behind its back.
    server.capture_signals = contextlib.nullcontext  # pyright: ignore[reportAttributeAccessIssue]
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    while not server.started and not serving.done():
        await asyncio.wait({serving, stopping}, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
    if server.started:
        announce()
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    stopping.cancel()
