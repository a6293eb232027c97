"""Jobs as people see them: GitHub's side, our claim, where it runs, and why it waits.

Everything is read from the entity tables (R11): there is no second copy to go stale.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, case, func, select, tuple_

from andon.model.api import ClaimView, JobView, JournalLine, RunnerRef, RunView
from andon.model.claim_states import LIVE, ClaimState
from andon.model.config import Config
from andon.model.job_states import JobStatus
from andon.model.journal import Line
from andon.model.nouns import Claim, Host, Job, Run, Slot
from andon.model.rails import Rail
from andon.model.wire import SlotState
from andon.rules.adopted_slots import KIND, AdoptedFact, Taker, WorkToLeave, left_to
from andon.rules.disk_admission import Shortage
from andon.rules.dispatch import WaitingJob, trusts
from andon.rules.slot_views import closed_by
from andon.rules.why import Situation, Why, why
from andon.store import adopted_slots, claims, disk_facts, hosts, jobs
from andon.store.pause_trials import is_being_tried
from andon.store.pauses import Pause, pause_of, pauses
from andon.store.rail_gate import Modes, modes
from andon.store.rows import to_struct
from andon.store.schema import LIVE_CLAIM, journal
from andon.store.schema import jobs as jobs_table
from andon.store.schema import runs as runs_table


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What explains waiting, read once for many jobs."""

    config: Config
    now: datetime
    hosts: dict[str, Host]
    slots: tuple[Slot, ...]
    held: frozenset[tuple[str, int]]
    """Slots that a live claim holds."""
    used: dict[str, int]
    """Live claims by owner."""
    pauses: tuple[Pause, ...]
    reserved: tuple[Claim, ...]
    """Live claims whose runner is yet to be minted."""
    modes: Modes
    adopted: dict[tuple[str, int], AdoptedFact] = {}
    """What GitHub says of the runners of adopted slots."""
    takers: tuple[Taker, ...] = ()
    """Adopted slots that stand idle."""
    room: disk_facts.Room | None = None
    """None: no host tells of its filesystems, or the guard does not act by them."""


def surroundings(connection: Connection, config: Config, now: datetime) -> Surroundings:
    """Reads what `why` needs beside the job itself."""
    live = claims.live_claims(connection)
    used: dict[str, int] = {}
    for claim in live:
        used[claim.owner] = used.get(claim.owner, 0) + 1
    slots = tuple(hosts.all_slots(connection))
    adopted = adopted_slots.facts(connection, slots, now)
    known_modes = modes(connection, config.rails.mode)
    return Surroundings(
        config=config,
        now=now,
        hosts={host.name: host for host in hosts.all_hosts(connection)},
        slots=slots,
        held=frozenset((claim.host, claim.slot) for claim in live),
        used=used,
        pauses=tuple(pauses(connection)),
        reserved=tuple(claim for claim in live if claim.state is ClaimState.RESERVED),
        modes=known_modes,
        adopted=adopted,
        takers=adopted_slots.takers(connection, now) if adopted else (),
        room=disk_facts.for_people(connection) if known_modes.of(Rail.GUARD) == "act" else None,
    )


def explain(job: Job, run: Run | None, claim: Claim | None, around: Surroundings, position: int | None) -> Why:
    """Why this job waits: exactly one cause (rules.why). `position` is its place in its pool, from 1."""
    pool = next((each for each in around.config.pool if each.name == job.pool), None)
    owner = next((each for each in around.config.owner if each.login.lower() == job.owner.lower()), None)
    mine = [slot for slot in around.slots if slot.pool == job.pool]
    closed = {
        (slot.host, slot.slot): closed_by(
            slot, around.hosts.get(slot.host), around.now, around.adopted.get((slot.host, slot.slot))
        )
        for slot in mine
    }
    open_ = [slot for slot in mine if closed[slot.host, slot.slot] is None]
    jit = [slot for slot in open_ if slot.kind != KIND]
    free = [slot for slot in jit if slot.state == SlotState.IDLE.value and (slot.host, slot.slot) not in around.held]
    needs_run = pool is not None and pool.trust != "any"
    pause = pause_of(around.pauses, job.owner, job.repository, job.pool or "")
    live = claim if claim is not None and claim.state in LIVE else None
    waits = job.status is JobStatus.QUEUED and live is None and job.pool is not None
    work = _work(job)
    left = left_to(around.takers, work, position) if waits and position is not None else None
    return why(
        Situation(
            job=job.id,
            status=job.status,
            queued_at=job.queued_at,
            created_at=job.created_at,
            now=around.now,
            owner=job.owner,
            labels=job.labels,
            pool=pool,
            run_known=run is not None or not needs_run,
            fork=run.fork if run else False,
            trusted=pool is None or trusts(pool, _as_waiting(job, run)),
            claim_state=live.state if live else None,
            claim_since=live.since if live else None,
            claim_reason=live.reason if live else None,
            slots=len(mine),
            slots_closed=Counter(cause for cause in closed.values() if cause is not None),
            slots_open=len(open_),
            slots_free=len(free),
            adopted_idle=sum(1 for taker in around.takers if taker.pool == job.pool),
            left_to=f"{left.taker.runner} on {left.taker.host}" if left and left.left(around.now) else None,
            left_until=left.until if left and left.left(around.now) else None,
            rested_at=min(
                (slot.rests_until for slot in mine if slot.rests_until and closed[slot.host, slot.slot] == "resting"),
                default=None,
            ),
            hosts_silent=tuple(sorted({host for (host, _), cause in closed.items() if cause == "silent"})),
            shortage=_shortage(job, closed, jit, free, around),
            max_slots=owner.max_slots if owner else None,
            owner_used=around.used.get(job.owner, 0),
            paused_until=pause.until if pause else None,
            pause_reason=pause.reason if pause else None,
            pause_tried=pause is not None and pause.until <= around.now and is_being_tried(pause, around.reserved),
            dispatch_mode=around.modes.of(Rail.DISPATCH),
            position=position if waits else None,
        )
    )


def _shortage(
    job: Job,
    closed: Mapping[tuple[str, int], str | None],
    open_: Sequence[Slot],
    free: Sequence[Slot],
    around: Surroundings,
) -> Shortage | None:
    """Why no slot of its pool that could take it has room for it. Where none is open, of those that their agents
    closed for want of it."""
    if around.room is None or not (free or not open_):
        return None
    rooms = around.room.rooms
    could = [(slot.host, slot.slot) for slot in free]
    if not could:
        could = [
            key for key, cause in closed.items() if cause == SlotState.UNAVAILABLE.value and not rooms.admits(*key)
        ]
    return rooms.shortage(could, around.room.growth.of_name(job.repository, job.pool or "", job.name))


def explain_job(connection: Connection, job: Job, around: Surroundings) -> Why:
    """Why one job waits, with its run and claim looked up."""
    run = jobs.get_run(connection, job.run_id, job.attempt)
    claim = claims.latest_claims(connection, [job.id]).get(job.id)
    return explain(job, run, claim, around, positions(connection, [job]).get(job.id))


def positions(connection: Connection, found: Sequence[Job]) -> dict[int, int]:
    """By job, its place among the unclaimed queued jobs of its pool, from 1; one query for all of them."""
    wanted = [job for job in found if job.status is JobStatus.QUEUED and job.pool is not None]
    if not wanted:
        return {}
    claimed = select(claims.claims.c.id).where(claims.claims.c.job_id == jobs_table.c.id, LIVE_CLAIM).exists()
    place = func.row_number().over(partition_by=jobs_table.c.pool, order_by=(jobs_table.c.queued_at, jobs_table.c.id))
    queue = (
        select(jobs_table.c.id, place.label("place"))
        .where(
            jobs_table.c.status == JobStatus.QUEUED.value,
            jobs_table.c.pool.in_({job.pool for job in wanted}),
            ~claimed,
        )
        .subquery()
    )
    rows = connection.execute(select(queue.c.id, queue.c.place).where(queue.c.id.in_([job.id for job in wanted])))
    return {row.id: row.place for row in rows}


def _work(job: Job) -> WorkToLeave:
    queued_at = job.queued_at or job.created_at
    return WorkToLeave(pool=job.pool or "", owner=job.owner, repository=job.repository, queued_at=queued_at)


def _as_waiting(job: Job, run: Run | None) -> WaitingJob:
    return WaitingJob(
        id=job.id,
        repository=job.repository,
        owner=job.owner,
        pool=job.pool or "",
        run_id=job.run_id,
        attempt=job.attempt,
        queued_at=job.queued_at or job.created_at,
        fork=run.fork if run else False,
    )


def view(connection: Connection, found: Sequence[Job], around: Surroundings) -> list[JobView]:
    """The jobs as people see them, in the given order."""
    latest = claims.latest_claims(connection, [job.id for job in found])
    keys = {(job.run_id, job.attempt) for job in found}
    runs: dict[tuple[int, int], Run] = {}
    if keys:
        rows = connection.execute(
            select(runs_table).where(tuple_(runs_table.c.id, runs_table.c.attempt).in_(list(keys)))
        ).mappings()
        runs = {(row["id"], row["attempt"]): to_struct(row, Run) for row in rows}
    places = positions(connection, found)
    return [
        _one(job, runs.get((job.run_id, job.attempt)), latest.get(job.id), around, places.get(job.id)) for job in found
    ]


def _one(job: Job, run: Run | None, claim: Claim | None, around: Surroundings, position: int | None) -> JobView:
    live = claim if claim is not None and claim.state in LIVE else None
    place = claim if claim is not None and claim.runner_name == job.runner_name else live
    over = job.status is JobStatus.COMPLETED
    return JobView(
        id=job.id,
        repository=job.repository,
        owner=job.owner,
        run_id=job.run_id,
        attempt=job.attempt,
        name=job.name,
        workflow=job.workflow or (run.workflow if run else None),
        event=run.event if run else None,
        branch=job.branch,
        sha=job.sha,
        labels=job.labels,
        pool=job.pool,
        status=job.status.value,
        conclusion=job.conclusion,
        queued_at=job.queued_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
        runner=RunnerRef(id=job.runner_id, name=job.runner_name) if job.runner_name else None,
        host=place.host if place else None,
        slot=place.slot if place else None,
        claim=ClaimView(
            id=live.id,
            state=live.state.value,
            generation=live.generation,
            since=live.since,
            deadline=live.deadline,
        )
        if live
        else None,
        why=None if over else explain(job, run, claim, around, position),
    )


def line_view(line: Line) -> JournalLine:
    """A journal line as the API gives it."""
    entry = line.entry
    return JournalLine(
        id=line.id,
        at=line.at,
        actor=entry.actor,
        kind=entry.kind,
        subject={"kind": entry.subject_kind, "id": entry.subject_id, "generation": entry.generation},
        from_=entry.from_state,
        to=entry.to_state,
        reason=entry.reason,
        mode=entry.mode,
        evidence=entry.evidence,
    )


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of jobs is narrowed to; None: everything."""

    state: str | None = None
    repository: str | None = None
    owner: str | None = None
    pool: str | None = None
    host: str | None = None
    since: datetime | None = None


def list_jobs(connection: Connection, wanted: Filter, limit: int, before: int | None = None) -> list[Job]:
    """Jobs newest first; `before` is the id to go on from."""
    query = select(jobs_table).order_by(jobs_table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(jobs_table.c.id < before)
    if wanted.state is not None:
        query = query.where(jobs_table.c.status == wanted.state)
    if wanted.repository is not None:
        query = query.where(jobs_table.c.repository == wanted.repository)
    if wanted.owner is not None:
        query = query.where(jobs_table.c.owner == wanted.owner)
    if wanted.pool is not None:
        query = query.where(jobs_table.c.pool == wanted.pool)
    if wanted.since is not None:
        query = query.where(jobs_table.c.created_at >= wanted.since)
    if wanted.host is not None:
        on_host = select(claims.claims.c.job_id).where(claims.claims.c.host == wanted.host)
        query = query.where(jobs_table.c.id.in_(on_host))
    return [to_struct(row, Job) for row in connection.execute(query).mappings()]


_HELD_LAST = case({JobStatus.QUEUED.value: 0}, value=jobs_table.c.status, else_=1)
_WAITS_SINCE = func.coalesce(jobs_table.c.queued_at, jobs_table.c.created_at)


def waiting_jobs(connection: Connection, limit: int) -> list[Job]:
    """Jobs that have not started, oldest first; those that GitHub holds back itself come last."""
    rows = connection.execute(
        select(jobs_table)
        .where(jobs_table.c.status.not_in((JobStatus.COMPLETED.value, JobStatus.IN_PROGRESS.value)))
        .order_by(_HELD_LAST, _WAITS_SINCE, jobs_table.c.id)
        .limit(limit)
    ).mappings()
    return [to_struct(row, Job) for row in rows]


def running_jobs(connection: Connection, limit: int) -> list[Job]:
    """Jobs in progress, the longest running first."""
    rows = connection.execute(
        select(jobs_table)
        .where(jobs_table.c.status == JobStatus.IN_PROGRESS.value)
        .order_by(func.coalesce(jobs_table.c.started_at, jobs_table.c.created_at), jobs_table.c.id)
        .limit(limit)
    ).mappings()
    return [to_struct(row, Job) for row in rows]


FINISHED_LOOK_BACK = 3000
"""How many journal lines are looked through for jobs that ended: bounds the read on any fleet."""


def finished_jobs(connection: Connection, limit: int) -> list[Job]:
    """The jobs whose end we heard of last, newest first."""
    newest = select(journal).order_by(journal.c.seq.desc()).limit(FINISHED_LOOK_BACK).subquery()
    ended = connection.execute(
        select(newest.c.job_id)
        .where(newest.c.kind == f"job.{JobStatus.COMPLETED.value}")
        .order_by(newest.c.id.desc())
        .limit(limit)
    ).scalars()
    order = [job_id for job_id in ended if job_id is not None]
    found = jobs.get_jobs(connection, order) if order else {}
    return [found[job_id] for job_id in dict.fromkeys(order) if job_id in found]


def claims_of_job(connection: Connection, job_id: int, limit: int = 20) -> list[Claim]:
    """The newest claims that stand for the job, in the order they were made, ended ones too."""
    rows = connection.execute(
        select(claims.claims).where(claims.claims.c.job_id == job_id).order_by(claims.claims.c.id.desc()).limit(limit)
    ).mappings()
    return [to_struct(row, Claim) for row in rows][::-1]


def run_view(connection: Connection, run_id: int, around: Surroundings) -> RunView | None:
    """A run with the jobs of all its attempts, or None."""
    found = jobs.jobs_of_run(connection, run_id)
    attempts = [
        to_struct(row, Run)
        for row in connection.execute(
            select(runs_table).where(runs_table.c.id == run_id).order_by(runs_table.c.attempt)
        ).mappings()
    ]
    if not found and not attempts:
        return None
    latest = attempts[-1] if attempts else None
    return RunView(
        id=run_id,
        repository=latest.repository if latest else found[0].repository,
        attempts=tuple(sorted({job.attempt for job in found} | {run.attempt for run in attempts})),
        event=latest.event if latest else None,
        fork=latest.fork if latest else None,
        status=latest.status if latest else None,
        conclusion=latest.conclusion if latest else None,
        jobs=tuple(view(connection, found, around)),
    )
