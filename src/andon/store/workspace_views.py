"""Workspaces as people see them: which run holds what, since when, and why it is not gone yet.

Everything is read from the entity tables (R11): what a host told, and what GitHub said of runs and jobs.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, or_, select

from andon.model.api import WorkspaceView
from andon.model.host_states import HostObserved
from andon.model.nouns import Job, Workspace
from andon.rules.workspace_words import JobFact, overdue, why_here
from andon.store.rows import to_struct
from andon.store.schema import hosts, jobs, runs, workspaces
from andon.store.workspaces import FACTS, Behind, make_behind

_BATCH = 500
"""Runs in one statement."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of workspaces is narrowed to; None: everything."""

    host: str | None = None
    repository: str | None = None
    state: str | None = None


def list_workspaces(
    connection: Connection, wanted: Filter, now: datetime, limit: int, after: tuple[str, str] | None = None
) -> list[WorkspaceView]:
    """Workspaces by host and id; `after` is the (host, id) to go on from."""
    query = select(workspaces).order_by(workspaces.c.host, workspaces.c.id).limit(limit)
    if after is not None:
        host, id = after
        query = query.where(or_(workspaces.c.host > host, and_(workspaces.c.host == host, workspaces.c.id > id)))
    for name, value in msgspec.structs.asdict(wanted).items():
        if value is not None:
            query = query.where(workspaces.c[name] == value)
    return _views(connection, [to_struct(row, Workspace) for row in connection.execute(query).mappings()], now)


def workspace(connection: Connection, id: str, now: datetime) -> WorkspaceView | None:
    """The workspace with this id, or None. Ids are unique by chance; of two the one that was told last."""
    query = select(workspaces).where(workspaces.c.id == id).order_by(workspaces.c.seen_at.desc()).limit(1)
    found = [to_struct(row, Workspace) for row in connection.execute(query).mappings()]
    return _views(connection, found, now)[0] if found else None


def workspaces_of_job(connection: Connection, job: Job, now: datetime) -> list[WorkspaceView]:
    """The workspaces that are known to be the job's: mostly one, none while or once no host tells of it."""
    if job.runner_name is None:
        return []
    query = select(workspaces).where(workspaces.c.run_id == job.run_id, workspaces.c.runner == job.runner_name)
    found = [to_struct(row, Workspace) for row in connection.execute(query).mappings()]
    return [view for view in _views(connection, found, now) if view.job == job.id]


def _views(connection: Connection, found: Sequence[Workspace], now: datetime) -> list[WorkspaceView]:
    if not found:
        return []
    named = sorted({each.run_id for each in found})
    facts: list[JobFact] = []
    attempts: list[Any] = []
    for start in range(0, len(named), _BATCH):
        some = named[start : start + _BATCH]
        rows = connection.execute(select(*FACTS).where(jobs.c.run_id.in_(some))).mappings()
        facts += [to_struct(row, JobFact) for row in rows]
        attempts += connection.execute(
            select(runs.c.id, runs.c.attempt, runs.c.status).where(runs.c.id.in_(some))
        ).all()
    behind = make_behind(facts, attempts)
    reporting = set(
        connection.execute(select(hosts.c.name).where(hosts.c.observed == HostObserved.REPORTING.value)).scalars()
    )
    return [_view(each, behind, each.host in reporting, now) for each in found]


def _view(each: Workspace, behind: Behind, host_reports: bool, now: datetime) -> WorkspaceView:
    run, job = behind.run(each.run_id), behind.job(each)
    return WorkspaceView(
        id=each.id,
        host=each.host,
        slot=each.slot,
        repository=each.repository,
        run_id=each.run_id,
        attempt=each.attempt,
        job_key=each.job_key,
        job=job.id if job is not None else None,
        conclusion=job.conclusion if job is not None else None,
        run=run.value,
        runner=each.runner,
        path=each.path,
        state=each.state,
        since=each.since,
        held_by=each.held_by,
        why=why_here(each, run, host_reports=host_reports),
        overdue=overdue(each, now),
        bytes=each.bytes,
        standalone=each.standalone,
        made_at=each.made_at,
        told_at=each.seen_at,
    )
