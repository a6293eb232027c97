"""There is no second copy of the truth: every view equals what plain Python makes of the rows of the
entity tables, at any moment of a random history (R11)."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, inspect, select, update

from andon.model.api import ClaimView, HostView, JobView, OwnerView, PoolView, RunnerRef, RunnerView, SlotView
from andon.model.budget import BudgetView
from andon.model.claim_states import LIVE, ClaimEvent, ClaimState
from andon.model.config import Config, Owner, Pool
from andon.model.host_states import HostObserved, Intent
from andon.model.job_states import JobStatus
from andon.model.machine import Rejected
from andon.model.nouns import Claim, Host, Job, Run, Slot
from andon.model.wire import SlotReport, SlotState
from andon.rules.dispatch import Policy, WaitingJob, trusts
from andon.rules.liveness import GitHubView, Heartbeat, ProcessView, judge
from andon.rules.pools import pool_for
from andon.rules.slot_views import closed_by, slot_state
from andon.rules.why import Situation, why
from andon.store import budgets, claims, fleet_views, hosts, job_views, jobs, pauses, runner_views, schema
from andon.store.apply_news import apply_job_news, apply_run_news
from andon.store.apply_sync import apply_report
from andon.store.claims import Change, advance
from andon.store.dispatch import dispatch_once
from andon.store.pauses import Pause
from andon.store.rows import to_struct
from andon.store.transaction import Store, Tx
from tests.support.builders import LABELS, a_config, a_pool, a_report, idle, job_news, run_news
from tests.support.running import read, write

CONFIG: Config = a_config(
    pool=(a_pool(), a_pool(name="gpu", labels=("self-hosted", "gpu"), trust="no-forks")),
    owner=(Owner(login="acme", max_slots=3), Owner(login="bits")),
)
POLICY = Policy(pools={pool.name: pool for pool in CONFIG.pool}, max_slots={"acme": 3})
HOSTS = ("host-a", "host-b")
PLACES = ("linux", "linux", "gpu")


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """The entity tables, whole; everything else is computed from them."""

    jobs: dict[int, Job]
    runs: dict[tuple[int, int], Run]
    claims: list[Claim]
    hosts: dict[str, Host]
    slots: list[Slot]
    pauses: list[Pause]
    budgets: list[BudgetView]

    @property
    def live(self) -> list[Claim]:
        return [claim for claim in self.claims if claim.state in LIVE]

    def claim_of(self, job: Job) -> Claim | None:
        mine = [claim for claim in self.claims if claim.job_id == job.id]
        return next((claim for claim in mine if claim.state in LIVE), mine[-1] if mine else None)

    def unclaimed(self) -> list[Job]:
        claimed = {claim.job_id for claim in self.live}
        waiting = [
            job for job in self.jobs.values() if job.status is JobStatus.QUEUED and job.pool and job.id not in claimed
        ]
        return sorted(waiting, key=lambda job: (job.queued_at, job.id))  # pyright: ignore[reportArgumentType, reportCallIssue]


def rows_of(connection: Connection) -> Rows:
    def all_of(table: Any, kind: type[Any]) -> list[Any]:
        found = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
        return [to_struct(row, kind) for row in found]

    return Rows(
        jobs={job.id: job for job in all_of(schema.jobs, Job)},
        runs={(run.id, run.attempt): run for run in all_of(schema.runs, Run)},
        claims=all_of(schema.claims, Claim),
        hosts={host.name: host for host in all_of(schema.hosts, Host)},
        slots=all_of(schema.slots, Slot),
        pauses=all_of(schema.pauses, Pause),
        budgets=all_of(schema.budgets, BudgetView),
    )


def job_view(rows: Rows, job: Job, now: datetime) -> JobView:
    run = rows.runs.get((job.run_id, job.attempt))
    claim = rows.claim_of(job)
    live = claim if claim is not None and claim.state in LIVE else None
    place = claim if claim is not None and claim.runner_name == job.runner_name else live
    return JobView(
        **{
            name: getattr(job, name)
            for name in ("id", "repository", "owner", "run_id", "attempt", "name", "branch", "sha", "labels", "pool")
        },
        workflow=job.workflow or (run.workflow if run else None),
        event=run.event if run else None,
        status=job.status.value,
        conclusion=job.conclusion,
        queued_at=job.queued_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
        runner=RunnerRef(id=job.runner_id, name=job.runner_name) if job.runner_name else None,
        host=place.host if place else None,
        slot=place.slot if place else None,
        claim=ClaimView(
            id=live.id, state=live.state.value, generation=live.generation, since=live.since, deadline=live.deadline
        )
        if live
        else None,
        why=None if job.status is JobStatus.COMPLETED else why(situation(rows, job, run, live, now)),
    )


def situation(rows: Rows, job: Job, run: Run | None, live: Claim | None, now: datetime) -> Situation:
    pool = {pool.name: pool for pool in CONFIG.pool}.get(job.pool or "")
    slots = [slot for slot in rows.slots if slot.pool == job.pool]
    closed = {(slot.host, slot.slot): closed_by(slot, rows.hosts.get(slot.host), now) for slot in slots}
    open_ = [slot for slot in slots if closed[slot.host, slot.slot] is None]
    held = {(claim.host, claim.slot) for claim in rows.live}
    covering = [pause for pause in rows.pauses if pause.covers(job.owner, job.repository, job.pool or "")]
    pause = max(covering, key=lambda each: each.until, default=None)
    line = [each.id for each in rows.unclaimed() if each.pool == job.pool]
    fork = run.fork if run else False
    waiting = WaitingJob(
        id=job.id,
        repository=job.repository,
        owner=job.owner,
        pool=job.pool or "",
        run_id=job.run_id,
        attempt=job.attempt,
        queued_at=job.queued_at or job.created_at,
        fork=fork,
    )
    return Situation(
        job=job.id,
        status=job.status,
        queued_at=job.queued_at,
        created_at=job.created_at,
        now=now,
        owner=job.owner,
        labels=job.labels,
        pool=pool,
        run_known=run is not None or pool is None or pool.trust == "any",
        fork=fork,
        trusted=pool is None or trusts(pool, waiting),
        claim_state=live.state if live else None,
        claim_since=live.since if live else None,
        claim_reason=live.reason if live else None,
        slots=len(slots),
        slots_closed=Counter(cause for cause in closed.values() if cause),
        slots_open=len(open_),
        slots_free=sum(1 for slot in open_ if slot.state == "idle" and (slot.host, slot.slot) not in held),
        rested_at=min(
            (slot.rests_until for slot in slots if slot.rests_until and closed[slot.host, slot.slot] == "resting"),
            default=None,
        ),
        hosts_silent=tuple(sorted({host for (host, _), cause in closed.items() if cause == "silent"})),
        max_slots={owner.login: owner.max_slots for owner in CONFIG.owner}.get(job.owner),
        owner_used=sum(1 for claim in rows.live if claim.owner == job.owner),
        paused_until=pause.until if pause else None,
        pause_reason=pause.reason if pause else None,
        pause_tried=pause is not None
        and pause.until <= now
        and any(
            each.state is ClaimState.RESERVED and pause.covers(each.owner, each.repository, each.pool)
            for each in rows.live
        ),
        dispatch_mode="act",
        position=line.index(job.id) + 1 if job.id in line else None,
    )


def slot_view(rows: Rows, slot: Slot, now: datetime) -> SlotView:
    claim = next((each for each in rows.live if (each.host, each.slot) == (slot.host, slot.slot)), None)
    return SlotView(
        slot=slot.slot,
        kind=slot.kind,
        pool=slot.pool,
        state=slot_state(slot, rows.hosts[slot.host], claim, now),
        intent=slot.intent.value,
        job=claim.job_id if claim else None,
        runner=claim.runner_name if claim else slot.runner,
        since=claim.since if claim else slot.since,
        failed_starts=slot.failed_starts,
        rests_until=slot.rests_until if slot.rests_until is not None and slot.rests_until > now else None,
    )


def host_view(rows: Rows, host: Host, now: datetime) -> HostView:
    return HostView(
        name=host.name,
        intent=host.intent.value,
        observed=host.observed.value,
        last_seen=host.last_seen,
        reason=host.reason,
        version=host.version,
        boot_id=host.boot_id,
        disk=(),
        slots=tuple(slot_view(rows, slot, now) for slot in rows.slots if slot.host == host.name),
    )


def runner_view(rows: Rows, claim: Claim) -> RunnerView:
    """Without a list of GitHub's, which has tests of its own: what it told by naming and by letting listen."""
    slot = next((each for each in rows.slots if (each.host, each.slot) == (claim.host, claim.slot)), None)
    heard = rows.hosts[claim.host].observed is HostObserved.REPORTING
    alive = slot is not None and slot.claim == claim.id and slot.state != "idle" and heard
    online = claim.state in (ClaimState.REGISTERED, ClaimState.BUSY)
    github = {ClaimState.REGISTERED: GitHubView.ONLINE, ClaimState.BUSY: GitHubView.BUSY}.get(claim.state)
    process = "gone" if claim.ended_at else slot.state if alive and slot else "unknown"
    if process == "unavailable":
        process = "unknown"
    heartbeat = Heartbeat.FRESH if heard else Heartbeat.STALE
    return RunnerView(
        id=claim.runner_id,
        name=claim.runner_name,
        github="online" if online else "unknown",
        busy=claim.state is ClaimState.BUSY if online else None,
        process=process if process in ("gone", "unknown") else "alive",
        heartbeat=heartbeat.value,
        verdict=judge(github or GitHubView.UNKNOWN, ProcessView(process), heartbeat).name,
        host=claim.host,
        slot=claim.slot,
    )


def pool_view(rows: Rows, pool: Pool, now: datetime) -> PoolView:
    seen = [(slot_view(rows, slot, now), rows.hosts[slot.host]) for slot in rows.slots if slot.pool == pool.name]
    line = [job for job in rows.unclaimed() if job.pool == pool.name]
    return PoolView(
        name=pool.name,
        labels=pool.labels,
        trust=pool.trust,
        slots=len(seen),
        idle=sum((slot.state, slot.intent, host.intent) == ("idle", "open", Intent.OPEN) for slot, host in seen),
        starting=sum(slot.state == "starting" for slot, _ in seen),
        running=sum(slot.state == "running" for slot, _ in seen),
        waiting=len(line),
        oldest_queued_at=line[0].queued_at if line else None,
    )


def owner_view(rows: Rows, login: str) -> OwnerView:
    owner = next((each for each in CONFIG.owner if each.login == login), None)
    covering = [pause for pause in rows.pauses if pause.covers(login, "", "")]
    pause = max(covering, key=lambda each: each.until, default=None)
    return OwnerView(
        login=login,
        weight=owner.weight if owner else 1.0,
        max_slots=owner.max_slots if owner else None,
        used=sum(claim.owner == login for claim in rows.live),
        waiting=sum(job.owner == login for job in rows.unclaimed()),
        paused_until=pause.until if pause else None,
        pause_reason=pause.reason if pause else None,
        budgets=tuple(each for each in rows.budgets if login in each.owners),
    )


def compare(connection: Connection, now: datetime) -> None:
    """Every view against the rows of the same snapshot."""
    rows = rows_of(connection)
    newest = sorted(rows.jobs.values(), key=lambda job: -job.id)
    around = job_views.surroundings(connection, CONFIG, now)
    assert job_views.view(connection, newest, around) == [job_view(rows, job, now) for job in newest]
    for wanted, keep in (
        (job_views.Filter(), lambda job: True),
        (job_views.Filter(state="queued", pool="linux"), lambda job: (job.status, job.pool) == ("queued", "linux")),
        (job_views.Filter(owner="bits"), lambda job: job.owner == "bits"),
        (
            job_views.Filter(host="host-b"),
            lambda job: any(claim.job_id == job.id and claim.host == "host-b" for claim in rows.claims),
        ),
    ):
        assert job_views.list_jobs(connection, wanted, 1000) == [job for job in newest if keep(job)]
    running = [job.id for job in newest if job.status is JobStatus.IN_PROGRESS]
    assert sorted(job.id for job in job_views.running_jobs(connection, 1000)) == sorted(running)
    held = [job.id for job in newest if job.status in (JobStatus.QUEUED, JobStatus.WAITING, JobStatus.PENDING)]
    assert sorted(job.id for job in job_views.waiting_jobs(connection, 1000)) == sorted(held)
    for run_id in {job.run_id for job in newest}:
        seen = job_views.run_view(connection, run_id, around)
        assert seen is not None
        mine = sorted((job for job in newest if job.run_id == run_id), key=lambda job: job.id)
        assert seen.jobs == tuple(job_view(rows, job, now) for job in mine)
    assert fleet_views.host_views(connection, now) == [host_view(rows, host, now) for host in rows.hosts.values()]
    past_minting = [claim for claim in rows.live if claim.state is not ClaimState.RESERVED]
    assert runner_views.runner_views(connection, now) == [runner_view(rows, claim) for claim in past_minting]
    assert fleet_views.pool_views(connection, CONFIG, now) == [pool_view(rows, pool, now) for pool in CONFIG.pool]
    assert {view.login: view for view in fleet_views.owner_views(connection, CONFIG)} == {
        login: owner_view(rows, login)
        for login in {"acme", "bits"} | {claim.owner for claim in rows.live} | {job.owner for job in rows.unclaimed()}
    }
    open_jobs = Counter(
        (job.status.value, job.pool or "none") for job in newest if job.status is not JobStatus.COMPLETED
    )
    assert fleet_views.open_job_counts(connection) == open_jobs
    unbooted = [claim.created_at for claim in rows.live if claim.state in ("reserved", "minted", "launched")]
    assert fleet_views.oldest_unbooted(connection) == min(unbooted, default=None)
    # What a row keeps of another for the sake of speed is that other's word too.
    for job in newest:
        run = rows.runs.get((job.run_id, job.attempt))
        assert job.fork == (run.fork if run else None)
        assert job.pool == pool_for(job.labels, CONFIG.pool)


class History:
    """One random step after the other."""

    def __init__(self, store: Store, clock: Any, chance: Random) -> None:
        self.store, self.clock, self.chance = store, clock, chance
        self.known: list[int] = []
        self.seq = 0

    def begin(self, tx: Tx) -> None:
        for name in HOSTS:
            hosts.enrol(tx, name, f"aht_{name}")
            self._hear(tx, name, [idle(number, pool) for number, pool in enumerate(PLACES)])

    def step(self, tx: Tx) -> None:
        self.clock.advance(self.chance.choice([0.5, 5, 40]))
        steps = (self._new_job, self._news, self._dispatch, self._claim, self._report, self._intent, self._pause)
        self.chance.choices((*steps, self._run_told, self._budget), weights=(2, 3, 2, 3, 1, 1, 1, 1, 1))[0](tx)

    def _new_job(self, tx: Tx) -> None:
        number = len(self.known) + 1
        self.known.append(number)
        owner = self.chance.choice(["acme", "bits", "other"])
        labels = self.chance.choice([LABELS, LABELS, ("self-hosted", "gpu"), ("self-hosted", "nobody")])
        news = {"repository": f"{owner}/app", "labels": labels, "run_id": 100 + number // 3, "order_at": None}
        apply_job_news(tx, job_news(number, self.chance.choice(["queued", "queued", "waiting"]), **news), CONFIG)

    def _run_told(self, tx: Tx) -> None:
        if self.known:
            number = self.chance.choice(self.known)
            job = jobs.get_job(tx.connection, number)
            assert job is not None
            # One run has one origin, whenever it is told.
            fork = job.run_id % 4 == 0
            apply_run_news(tx, run_news(job.run_id, repository=job.repository, fork=fork), CONFIG)

    def _news(self, tx: Tx) -> None:
        if not self.known:
            return
        job = jobs.get_job(tx.connection, self.chance.choice(self.known))
        assert job is not None
        status = self.chance.choice(["queued", "waiting", "pending", "in_progress", "in_progress", "completed"])
        runner: dict[str, Any] = {}
        live = claims.live_claims(tx.connection)
        if status == "in_progress" and live:
            taker = self.chance.choice(live)
            runner = {"runner_name": taker.runner_name, "runner_id": 7}
        elif job.runner_name:
            runner = {"runner_name": job.runner_name, "runner_id": job.runner_id}
        facts = {"repository": job.repository, "labels": job.labels, "run_id": job.run_id, "order_at": tx.now}
        apply_job_news(tx, job_news(job.id, status, **facts, **runner), CONFIG)

    def _dispatch(self, tx: Tx) -> None:
        dispatch_once(tx, POLICY, fleet="f", mode="act")

    def _claim(self, tx: Tx) -> None:
        live = claims.live_claims(tx.connection)
        if not live:
            return
        claim = self.chance.choice(live)
        event = self.chance.choice(list(ClaimEvent))
        moved = advance(tx, claim, Change(event=event, actor="test", reason=event.value))
        if not isinstance(moved, Rejected) and self.chance.random() < 0.2:
            claims.set_facts(tx, moved, ended_at=tx.now)

    def _report(self, tx: Tx) -> None:
        name = self.chance.choice(HOSTS)
        live = {claim.slot: claim for claim in claims.live_claims(tx.connection, host=name)}
        reports: list[SlotReport] = []
        for number, pool in enumerate(PLACES):
            claim = live.get(number)
            state = self.chance.choice(list(SlotState))
            reports.append(
                SlotReport(slot=number, pool=pool, state=state, claim=claim.id, generation=1, runner=claim.runner_name)
                if claim is not None and state is not SlotState.IDLE
                else SlotReport(slot=number, pool=pool, state=self.chance.choice([SlotState.IDLE, state]))
            )
        self._hear(tx, name, reports)
        if self.chance.random() < 0.2:
            hosts.fall_silent(tx, tx.now)

    def _hear(self, tx: Tx, name: str, reports: list[SlotReport]) -> None:
        self.seq += 1
        host = hosts.get_host(tx.connection, name)
        assert host is not None
        apply_report(
            tx, host, a_report(tuple(reports), host=name, seq=self.seq), {pool.name: pool for pool in CONFIG.pool}
        )

    def _intent(self, tx: Tx) -> None:
        intent = self.chance.choice(list(Intent)).value
        slots = schema.slots
        one = (slots.c.host == self.chance.choice(HOSTS)) & (slots.c.slot == self.chance.randrange(3))
        tx.connection.execute(update(slots).where(one).values(intent=intent))
        if self.chance.random() < 0.3:
            host = schema.hosts.c.name == self.chance.choice(HOSTS)
            tx.connection.execute(update(schema.hosts).where(host).values(intent=intent))

    def _budget(self, tx: Tx) -> None:
        told = [
            BudgetView(
                account=account,
                resource="core",
                owners=owners,
                limit=5000,
                remaining=self.chance.randrange(5000),
                reserve=1000,
                resets_at=None,
                used=1,
                refused=0,
                degraded=self.chance.choice([None, "a pause"]),
                until=None,
            )
            for account, owners in (("app 1", ("acme", "bits")), ("app 2", ("acme",)))
        ]
        budgets.save(tx, told[: self.chance.randrange(3)])

    def _pause(self, tx: Tx) -> None:
        pauses.pause(tx, "acme", reason="a failure", pool=self.chance.choice(["", "linux"]))


@pytest.mark.parametrize("seed", range(3))
def test_views_equal_a_recomputation_from_the_rows(
    store: Store, clock: Any, seed: int, count: Callable[[int], int]
) -> None:
    history = History(store, clock, Random(seed))
    write(store, history.begin)
    for number in range(count(2000)):
        write(store, history.step)
        if number % 5 == 0:
            read(store, lambda connection: compare(connection, clock.now()))


def test_the_database_holds_tables_and_no_views(store: Store) -> None:
    def look(connection: Connection) -> tuple[list[str], set[str]]:
        found = inspect(connection)
        return found.get_view_names(), set(found.get_table_names())

    views, tables = read(store, look)
    assert views == []
    assert tables - {"alembic_version"} == set(schema.metadata.tables)
