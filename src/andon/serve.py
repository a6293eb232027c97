"""The composition root of the control plane: makes every part, starts the loops, serves HTTP.

The only place that knows all rooms below it. Stopping takes no more work, lets acts under way end,
and leaves jobs and runners alone (R25).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from andon.github.client import GitHub
from andon.github.credentials import credentials_from
from andon.github.transport import Transport
from andon.loops.acts.table import acts
from andon.loops.apply_deliveries import ApplyDeliveries
from andon.loops.budgets import KeepBudgets
from andon.loops.claims import ClaimDeadlines
from andon.loops.dispatch import Dispatch
from andon.loops.drain_spool import LOOK_S, DrainSpool
from andon.loops.fleet import Fleet
from andon.loops.hosts import HostLiveness
from andon.loops.incidents import KeepIncidents
from andon.loops.leadership import Leadership
from andon.loops.liveness import Registrations
from andon.loops.liveness_knock import Knock
from andon.loops.outbox import Outbox
from andon.loops.periods import PERIODS, Periods
from andon.loops.redelivery import Redelivery
from andon.loops.retention import PERIOD_S, Retention
from andon.loops.sweep import Sweep
from andon.loops.withhold import Withhold
from andon.model.config import Config
from andon.rules.doctor_hook import PATH as WEBHOOK_PATH
from andon.rules.listen_address import parse_listen
from andon.rules.liveness_fleet import ApiFact
from andon.rules.redelivery import PERIOD_S as REDELIVERY_S
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.files import make_secret, read_secret
from andon.runtime.ids import Ids, new_secret
from andon.runtime.logging import Logger, logger
from andon.runtime.loop import Loop
from andon.runtime.this_machine import this_machine
from andon.store import jobs, meta
from andon.store.absent import AbsentDatabase
from andon.store.announcements import EVERYTHING
from andon.store.first_opening import FirstOpening
from andon.store.intake import Intake
from andon.store.leases import Fenced
from andon.store.opening import Opened, may_be_away, open_store
from andon.store.rails import note_mode
from andon.store.spool import Spool
from andon.store.transaction import Store
from andon.web.app import make_app
from andon.web.control_plane import ControlPlane
from andon.web.http_server import Front, Tls, listening_socket, url_of
from andon.web.metrics import Metrics
from andon.web.pages import PAGES

ACTS_END_S = 3.0
"""How long acts under way may take once a stop was asked for; with the requests' 3 s: exit in <= 10 s."""


OPENING_S = 2.0
"""How long a PostgreSQL may take to be opened before deliveries are taken without it."""
GIVE_BACK_S = 1.0
"""How long giving back the lease may take; without it the next leader waits for its end."""


class Wiring:
    """The parts of one control plane and the loops between them."""

    def __init__(
        self,
        config: Config,
        *,
        data: Path,
        opened: Opened,
        intake: Intake,
        github: GitHub,
        metrics: Metrics,
        clock: Clock,
        replica: str,
        fleet_id: str,
        log: Logger,
        public_url: str,
        periods: Periods = PERIODS,
    ) -> None:
        store = opened.store
        self._clock, self._log, self._metrics = clock, log, metrics
        self._shared = opened.shared
        self._sweep_s: dict[str, float] = {}
        leadership = Leadership(
            store,
            clock,
            log,
            holder=replica,
            alone=not opened.shared,
            terms=periods.leadership,
            before_leading=lambda: self._budgets.take_over(),
            leads_now=lambda: self._wake([EVERYTHING]),
        )
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
        self._budgets = KeepBudgets(self.fleet)
        self._outbox = Outbox(self.fleet, acts(self.fleet), lambda: self.loops["outbox"].nudge())
        redelivery = Redelivery(self.fleet, f"{public_url.rstrip('/')}{WEBHOOK_PATH}")
        sweep = Sweep(
            self.fleet,
            show_period=self._show_period,
        )
        self.loops = {
            "leadership": self._loop("leadership", leadership.run_once, periods.leadership.renew_s),
            "spool": self._loop("spool", DrainSpool(intake, log).run_once, LOOK_S),
            "deliveries": self._loop(
                "deliveries", ApplyDeliveries(self.fleet, burst=lambda: intake.burst).run_once, periods.deliveries
            ),
            "dispatch": self._loop("dispatch", Dispatch(self.fleet).run_once, periods.dispatch),
            "outbox": self._loop("outbox", self._outbox.run_once, periods.outbox),
            "budgets": self._loop("budgets", self._budgets.run_once, periods.budgets),
            "claims": self._loop("claims", ClaimDeadlines(self.fleet).run_once, periods.claims),
            "hosts": self._loop("hosts", HostLiveness(self.fleet).run_once, periods.hosts),
            "incidents": self._loop("incidents", KeepIncidents(self.fleet, this_machine()).run_once, periods.incidents),
            "knock": self._loop("knock", Knock(self.fleet).run_once, periods.knock),
            "registrations": self._loop("registrations", Registrations(self.fleet).run_once, periods.registrations),
            "withheld": self._loop("withheld", Withhold(self.fleet).run_once, periods.withheld),
            "sweep": self._loop("sweep", sweep.run_once, sweep.wanted_s),
            "redelivery": self._loop("redelivery", redelivery.run_once, REDELIVERY_S),
            "retention": self._loop("retention", Retention(self.fleet, spool=data / "spool").run_once, PERIOD_S),
        }
        self._leadership = leadership
        self.control = _control(
            config,
            data=data,
            store=store,
            intake=intake,
            metrics=metrics,
            clock=clock,
            log=log,
            public_url=public_url,
            ready=self._missing,
            github=github.health,
            sweep_s=lambda: self._sweep_s if leadership.lease() is not None else {},
        )
        store.on_nudges(self._wake)
        intake.on_spooled(self.loops["spool"].nudge)
        store.on_lines(metrics.journalled)
        github.on_pause(self.loops["budgets"].nudge)
        self._listener = opened.listen(self._wake) if opened.listen is not None else None

    def _loop(self, name: str, run_once: Callable[[], Awaitable[float | None]], period: float) -> Loop:
        async def led() -> float | None:
            try:
                return await run_once()
            except Fenced as error:
                self._log.info("loop.fenced", loop=name, reason=str(error))
                self._leadership.distrust()
                self.loops["leadership"].nudge()
                return None

        return Loop(
            name,
            led,
            period=period,
            clock=self._clock,
            log=self._log,
            on_success=lambda loop: self._metrics.loop_succeeded(loop, self._clock.now()),
        )

    def _show_period(self, owner: str, seconds: float) -> None:
        self._sweep_s[owner] = seconds
        self._metrics.show("andon_sweep_period_seconds", seconds, owner=owner)

    def _wake(self, names: Iterable[str]) -> None:
        for name in names:
            if name == EVERYTHING:
                for loop in self.loops.values():
                    loop.nudge()
                self.control.wake_hosts()
            elif name.startswith("host:"):
                self.control.host_nudge(name.removeprefix("host:"))()
            elif (loop := self.loops.get(name)) is not None:
                loop.nudge()
        self.control.changes()

    def _missing(self) -> str | None:
        if not self._leadership.answered():
            return "The database does not answer."
        if self._leadership.lease() is None:
            # A stand-by takes deliveries, agents and readers as the leader does.
            return None if self._shared else "The lease of the leader could not be taken."
        behind = [name for name in ("deliveries", "dispatch", "outbox") if not self.loops[name].passes.version]
        return f"Not through their first pass: {', '.join(behind)}." if behind else None

    async def start(self) -> list[asyncio.Task[None]]:
        """Takes the lead where it can be had, and starts the loops."""
        await self._leadership.run_once()
        tasks = [asyncio.create_task(loop.run(), name=f"loop {name}") for name, loop in self.loops.items()]
        if self._listener is not None:
            tasks.append(asyncio.create_task(self._listener.run(), name="listener"))
        return tasks

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """The loops run inside; afterwards acts under way are given time to end."""
        tasks = await self.start()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._outbox.stop(ACTS_END_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GIVE_BACK_S):
                    await self._leadership.give_back()


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
    replica = ids.new("rep")
    metrics, spool = Metrics(), Spool(data / "spool", ids)
    url = url_of(listener, "https" if config.server.tls_cert_file else "http")
    public_url = config.server.public_url or url
    front = Front(listener, tls=_tls(config, data))
    opened: Opened | None = None
    transport: Transport | None = None
    before: list[Intake] = []

    async def answer(control: ControlPlane) -> None:
        if await front.show(make_app(control, PAGES), before_stop=control.stop):
            announce({"ready": True, "url": url, "pid": pid})

    async def answer_without(absent: AbsentDatabase) -> None:
        store = Store(absent, clock, ids)
        intake = Intake(store, spool, log)
        before.append(intake)
        waiting = _control(
            config,
            data=data,
            store=store,
            intake=intake,
            metrics=metrics,
            clock=clock,
            log=log,
            public_url=public_url,
            ready=lambda: f"The database does not answer: {absent.why}.",
        )
        # From the first moment on everybody who looks is told.
        await waiting.degradation.look()
        log.info("controlplane.waits", url=url, spool=str(data / "spool"))
        await answer(waiting)

    try:
        credentials = credentials_from(config.github, data, clock)
        opened = await _opened(
            lambda: open_store(config.server.database, data, clock=clock, ids=ids, log=log, replica=replica),
            config.server.database,
            answer_without=answer_without,
            stop=stop,
            clock=clock,
            log=log,
        )
        if opened is None:
            return
        transport = Transport(
            config.github.api_url,
            credentials,
            opened.store.clock,
            budget_percent=config.github.budget_percent,
            count=lambda endpoint, status: metrics.count("andon_github_calls_total", endpoint=endpoint, status=status),
        )
        store = opened.store
        fleet_id = await store.write(meta.fleet_id)
        moved = await store.write(lambda tx: jobs.assign_pools(tx, config.pool))
        if await store.write(lambda tx: note_mode(tx, config.rails.mode)):
            log.info("rails.mode", mode=config.rails.mode)
        wiring = Wiring(
            config,
            data=data,
            opened=opened,
            intake=Intake(store, spool, log),
            github=GitHub(transport),
            metrics=metrics,
            clock=opened.store.clock,
            replica=replica,
            fleet_id=fleet_id,
            log=log,
            public_url=public_url,
        )
        for intake in before:
            # What it still had in hand when the database came goes to the disk after the first look there.
            intake.on_spooled(wiring.loops["spool"].nudge)
        log.info("controlplane.started", url=url, fleet=fleet_id, jobs_moved_between_pools=moved)
        async with wiring.running():
            try:
                await answer(wiring.control)
                await stop.wait()
            finally:
                # Before the loops end: who asks then would wait for them.
                await front.close()
    finally:
        await front.close()
        if transport is not None:
            await transport.close()
        spool.close()
        if opened is not None:
            opened.store.close()
        listener.close()
        log.info("controlplane.stopped")


async def _opened(
    open_it: Callable[[], Opened],
    database: str,
    *,
    answer_without: Callable[[AbsentDatabase], Awaitable[None]],
    stop: asyncio.Event,
    clock: Clock,
    log: Logger,
) -> Opened | None:
    """The database; None when a stop came first. One that is not there after `OPENING_S` is waited for, and
    meanwhile deliveries are taken without it. Raises Refused when waiting would not help."""
    if not may_be_away(database):
        return open_it()
    first = FirstOpening(open_it, clock=clock, log=log)
    opening, stopping = asyncio.create_task(first.run()), asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({opening, stopping}, timeout=OPENING_S, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            began = clock.monotonic()
            await answer_without(first.absent)
            await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if opening.done() and opening.exception() is None:
                log.info("database.opened", after_s=round(clock.monotonic() - began + OPENING_S))
        return opening.result() if opening.done() else None
    finally:
        for task in (opening, stopping):
            task.cancel()
        await asyncio.gather(opening, stopping, return_exceptions=True)


def _control(
    config: Config,
    *,
    data: Path,
    store: Store,
    intake: Intake,
    metrics: Metrics,
    clock: Clock,
    log: Logger,
    public_url: str,
    ready: Callable[[], str | None],
    github: Callable[[], ApiFact] = lambda: ApiFact(answered_at=None, failing_since=None),
    sweep_s: Callable[[], Mapping[str, float]] = dict[str, float],
) -> ControlPlane:
    server = config.server
    return ControlPlane(
        config=config,
        store=store,
        intake=intake,
        clock=clock,
        log=log,
        metrics=metrics,
        public_url=public_url,
        started_at=clock.now(),
        webhook_secret=_webhook_secret(config, data),
        enrolment_secret=make_secret(data / server.agent_token_file, what="enrolment secret"),
        operator_token=make_secret(data / server.operator_token_file, what="operator token"),
        viewer_token=read_secret(data / server.viewer_token_file, what="viewer token")
        if server.read == "token"
        else None,
        new_secret=new_secret,
        ready=ready,
        github=github,
        sweep_s=sweep_s,
    )


def _webhook_secret(config: Config, data: Path) -> str:
    """The hook's secret. Who polls needs none: then one that nobody knows refuses every delivery."""
    file = data / config.github.webhook_secret_file
    if config.github.ingest == "poll" and not file.exists():
        return new_secret()
    return read_secret(file, what="webhook secret", text=True)


def _tls(config: Config, data: Path) -> Tls | None:
    server = config.server
    if server.tls_cert_file is None or server.tls_key_file is None:
        return None
    return Tls(certificate=data / server.tls_cert_file, key=data / server.tls_key_file)
