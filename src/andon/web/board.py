"""`/`: the fleet at a glance, and `/queue`: everything that waits. One snapshot, a fixed number of queries."""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from andon.model.api import JobView
from andon.model.claim_states import ClaimState
from andon.model.job_states import JobStatus
from andon.store import budgets, fleet_views, incidents, job_views, jobs
from andon.store.database import Unavailable
from andon.web.board_content import Board, HostRow
from andon.web.control_plane import ControlPlane, control_plane
from andon.web.degradation import PATIENCE_S, Stored, read_stored, wanted_sweep_s
from andon.web.headline import Finding, all_well, findings
from andon.web.html_answers import html
from andon.web.slot_cells import cells

SHOWN_WAITING = 50
SHOWN_RUNNING = 50
SHOWN_FINISHED = 15
SHOWN_IN_QUEUE = 500
ANSWER_TAKES = timedelta(seconds=30)
"""A runner in doubt for longer than this is worth a word at the top; most doubts end sooner."""


def columns(slots: int) -> int:
    """3 to 6: as many as there are slots, else what needs the fewest rows and stays readable."""
    if slots <= 6:
        return max(3, slots)
    return 4 if slots <= 8 else 6


def read_board(connection: Connection, control: ControlPlane, now: datetime) -> Board:
    """Reads the board from one snapshot."""
    around = job_views.surroundings(connection, control.config, now)
    hosts = fleet_views.host_views(connection, now)
    claimed = {slot.job for host in hosts for slot in host.slots if slot.job is not None}
    on_slots = jobs.get_jobs(connection, sorted(claimed)) if claimed else {}
    notes = fleet_views.slot_notes(connection, now)
    running = job_views.running_jobs(connection, SHOWN_RUNNING)
    waiting = job_views.waiting_jobs(connection, SHOWN_WAITING)
    finished = job_views.finished_jobs(connection, SHOWN_FINISHED)
    views = job_views.view(connection, [*running, *waiting, *finished], around)
    counts = fleet_views.open_job_counts(connection)
    running_count = sum(n for (status, _), n in counts.items() if status == JobStatus.IN_PROGRESS.value)
    ends = len(running) + len(waiting)
    stranded = [
        job
        for job in views[len(running) : ends]
        if job.claim and job.claim.state == ClaimState.ORPHANED.value and now - job.claim.since > ANSWER_TAKES
    ]
    deliveries = fleet_views.delivery_views(connection, 1, arrived=True)
    return Board(
        hosts=tuple(HostRow(host=host, cells=cells(host, on_slots, notes)) for host in hosts),
        pools=tuple(fleet_views.pool_views(connection, control.config, now)),
        findings=findings(
            hosts,
            missing=control.ready(),
            pauses=around.pauses,
            budgets=budgets.degraded(connection),
            unserved=counts.get((JobStatus.QUEUED.value, "none"), 0),
            stranded=len(stranded),
            rails=around.modes,
            incidents=incidents.live(connection),
            degraded=control.degradation.known(),
            now=now,
        ),
        well=all_well(hosts),
        running=tuple(views[: len(running)]),
        waiting=tuple(views[len(running) : ends]),
        finished=tuple(views[ends:]),
        running_count=running_count,
        waiting_count=sum(counts.values()) - running_count,
        last_delivery=deliveries[0][1] if deliveries else None,
        columns=columns(max((len(host.slots) for host in hosts), default=0)),
    )


async def board(request: Request) -> Response:
    """The board; while the database is away, the one that was read last, and it says so."""
    control = control_plane(request)
    now = control.clock.now()

    def read(connection: Connection) -> tuple[Board, Stored]:
        return read_board(connection, control, now), read_stored(connection)

    try:
        found, stored = await control.degradation.read_in_time(read, PATIENCE_S)
        control.degradation.heard(stored)
        control.last_board, read_at = found, now
        control.last_board_at = now
    except Unavailable:
        found, read_at = control.last_board, control.last_board_at
        if found is None:
            return html(request, "away.html", status=503, now=now, lamp="red", degraded=control.degradation.known())
        away = Finding(lamp="red", text="The database does not answer: this is what was read last.")
        found = msgspec.structs.replace(found, findings=(away, *found.findings))
    return html(
        request,
        "board.html",
        now=now,
        board=found,
        read_at=read_at,
        degraded=control.degradation.known(),
        sweep=sorted(control.sweep_s().items()),
        wanted_sweep_s=wanted_sweep_s(control.config),
        lamp=found.findings[0].lamp if found.findings else "green" if found.hosts else "grey",
        observing=control.config.rails.mode != "act",
        polling=control.config.github.ingest == "poll",
        public_url=control.public_url,
    )


async def queue(request: Request) -> Response:
    """Everything that waits, oldest first."""
    control = control_plane(request)
    now = control.clock.now()

    def read(connection: Connection) -> tuple[list[JobView], int]:
        around = job_views.surroundings(connection, control.config, now)
        found = job_views.view(connection, job_views.waiting_jobs(connection, SHOWN_IN_QUEUE), around)
        counts = fleet_views.open_job_counts(connection)
        return found, sum(n for (status, _), n in counts.items() if status != JobStatus.IN_PROGRESS.value)

    waiting, total = await control.degradation.read_in_time(read)
    return html(request, "queue.html", now=now, waiting=waiting, waiting_count=total)
