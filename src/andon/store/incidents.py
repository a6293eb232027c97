"""Incidents: opened once for each cause and subject, closed by evidence, every step journalled (R36).

A compare-and-set on the state makes each step happen once; the partial unique index is the last line
against two leaders by mistake.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, func, select, update

from andon.model.api import IncidentSubject, IncidentView
from andon.model.incident_kinds import KINDS, IncidentCode
from andon.model.incident_states import INCIDENTS, IncidentState
from andon.model.journal import Entry
from andon.model.machine import Rejected
from andon.model.nouns import Incident
from andon.rules.disk_incidents import SUBJECT, host_of
from andon.rules.liveness_fleet import Finding
from andon.store.bulk import insert_new
from andon.store.prepared import Records
from andon.store.rows import to_columns, to_struct
from andon.store.schema import LIVE_CLAIM, NOT_CLOSED, NOT_OVER, claims, incidents, jobs
from andon.store.transaction import Tx

ACTOR = "loop:incidents"
MOST_JOBS = 200
"""Jobs that one incident lists; an outage of hours touches more than anybody reads."""
MOST_EVIDENCE = 50
_BATCH = 500
"""Hosts in one statement."""
Touched = tuple[tuple[int, ...], tuple[str, ...]]
"""Jobs, and their repositories."""
_NOTHING_KNOWN: Mapping[str, Touched] = MappingProxyType({})


_NOT_CLOSED = Records(select(incidents).where(NOT_CLOSED).order_by(incidents.c.id), Incident)


def live(connection: Connection) -> list[Incident]:
    """Incidents that are open or easing, oldest first."""
    return _NOT_CLOSED.structs(connection)


def get(connection: Connection, incident_id: str) -> Incident | None:
    """The incident, or None."""
    row = connection.execute(select(incidents).where(incidents.c.id == incident_id)).mappings().first()
    return to_struct(row, Incident) if row else None


def newest(
    connection: Connection, limit: int, *, before: str | None = None, state: IncidentState | None = None
) -> list[Incident]:
    """Incidents newest first; `before` is the id to go on from."""
    query = select(incidents).order_by(incidents.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(incidents.c.id < before)
    if state is not None:
        query = query.where(incidents.c.state == state.value)
    return [to_struct(row, Incident) for row in connection.execute(query).mappings()]


def counts(connection: Connection) -> dict[tuple[str, str], int]:
    """(code, severity) -> incidents that are not closed."""
    rows = connection.execute(
        select(incidents.c.code, incidents.c.severity, func.count())
        .where(NOT_CLOSED)
        .group_by(incidents.c.code, incidents.c.severity)
    )
    return {(row[0], row[1]): row[2] for row in rows}


def view(incident: Incident) -> IncidentView:
    """An incident as the API gives it."""
    return IncidentView(
        id=incident.id,
        code=incident.code.value,
        severity=incident.severity.value,
        state=incident.state.value,
        title=incident.title,
        opened_at=incident.opened_at,
        closed_at=incident.closed_at,
        subject=IncidentSubject(kind=incident.subject_kind, id=incident.subject_id),
        caused_by=incident.caused_by,
        jobs=incident.jobs,
        repositories=incident.repositories,
        evidence=incident.evidence,
    )


def touched(
    connection: Connection, hosts: Sequence[str], pool: str | None = None
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The jobs that live claims on these hosts stand for, and their repositories; no hosts: every job of
    ours, or of the pool, that is not over."""
    if hosts:
        query = (
            select(claims.c.job_id.label("id"), claims.c.repository)
            .where(LIVE_CLAIM, claims.c.host.in_(hosts), claims.c.job_id.is_not(None))
            .order_by(claims.c.id)
        )
    else:
        ours = jobs.c.pool.is_not(None) if pool is None else jobs.c.pool == pool
        query = select(jobs.c.id, jobs.c.repository).where(NOT_OVER, ours).order_by(jobs.c.id)
    rows = connection.execute(query.limit(MOST_JOBS)).all()
    return tuple(row.id for row in rows), tuple(sorted({row.repository for row in rows}))


def touched_by(connection: Connection, findings: Sequence[Finding]) -> dict[str, Touched]:
    """What each finding of one host touches, by the host: asked together, for many are lost at once."""
    wanted = sorted({finding.hosts[0] for finding in findings if finding.pool is None and len(finding.hosts) == 1})
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in wanted}
    for at in range(0, len(wanted), _BATCH):
        query = (
            select(claims.c.host, claims.c.job_id, claims.c.repository)
            .where(LIVE_CLAIM, claims.c.host.in_(wanted[at : at + _BATCH]), claims.c.job_id.is_not(None))
            .order_by(claims.c.id)
        )
        for host, job, repository in connection.execute(query):
            found[host].append((job, repository))
    return {
        host: (tuple(job for job, _ in some), tuple(sorted({place for _, place in some})))
        for host, some in ((host, each[:MOST_JOBS]) for host, each in found.items())
    }


def _touched(tx: Tx, finding: Finding, known: Mapping[str, Touched]) -> Touched:
    of_one_host = finding.pool is None and len(finding.hosts) == 1
    one = known.get(finding.hosts[0]) if of_one_host else None
    return touched(tx.connection, finding.hosts, finding.pool) if one is None else one


def open_once(
    tx: Tx, finding: Finding, *, caused_by: str | None, known: Mapping[str, Touched] = _NOTHING_KNOWN
) -> Incident | None:
    """Opens the incident of a finding; None when there is one already. `known`: by `touched_by`."""
    kind = KINDS[finding.code]
    affected, repositories = _touched(tx, finding, known)
    incident = Incident(
        id=tx.ids.new("inc"),
        code=finding.code,
        severity=kind.severity,
        state=IncidentState.OPEN,
        title=finding.title,
        subject_kind=finding.subject_kind,
        subject_id=finding.subject_id,
        caused_by=caused_by,
        opened_at=tx.now,
        since=tx.now,
        deadline=tx.now + INCIDENTS.limit(IncidentState.OPEN),
        closed_at=None,
        jobs=affected,
        repositories=repositories,
        evidence=(),
    )
    if not insert_new(tx.connection, incidents, [to_columns(incident)]):
        return None
    facts = {**finding.facts, "jobs": list(affected), "caused_by": caused_by}
    line = _journal(tx, incident, "opened", None, IncidentState.OPEN, finding.title, facts)
    _set(tx, incident, evidence=[line])
    return incident


def goes_on(tx: Tx, incident: Incident, finding: Finding, known: Mapping[str, Touched] = _NOTHING_KNOWN) -> None:
    """The cause is there: an easing incident is open again, and what it touches since is added. `known`: by
    `touched_by`."""
    if incident.state is IncidentState.EASING:
        _move(tx, incident, "returned", finding.title, finding.facts, INCIDENTS.limit(IncidentState.OPEN))
    affected, repositories = _touched(tx, finding, known)
    all_jobs = tuple(dict.fromkeys((*incident.jobs, *affected)))[:MOST_JOBS]
    places = tuple(sorted({*incident.repositories, *repositories}))
    if (all_jobs, places) != (incident.jobs, incident.repositories):
        _set(tx, incident, jobs=list(all_jobs), repositories=list(places))
        tx.nudges.add("pages")


def ease(tx: Tx, incident: Incident, reason: str) -> None:
    """Something shows that the cause is gone."""
    _move(tx, incident, "eased", reason, {}, KINDS[incident.code].quiet)


def past_deadline(tx: Tx, incident: Incident) -> None:
    """Easing long enough: closed. Open for a day: announced again."""
    if incident.deadline is None or incident.deadline > tx.now:
        return
    if incident.state is IncidentState.EASING:
        _move(tx, incident, "stayed_away", "its cause stayed away", {}, None)
    else:
        hours = int((tx.now - incident.opened_at).total_seconds() // 3600)
        _journal(tx, incident, "announced", incident.state, incident.state, f"open for {hours} h: {incident.title}", {})
        _set(tx, incident, deadline=tx.now + INCIDENTS.limit(IncidentState.OPEN))


def live_of(found: Sequence[Incident], code: IncidentCode) -> Incident | None:
    """The first live incident of a code."""
    return next((each for each in found if each.code is code), None)


def _move(tx: Tx, incident: Incident, event: str, reason: str, facts: dict[str, Any], lasts: timedelta | None) -> None:
    after = INCIDENTS.advance(incident.state, event)
    if isinstance(after, Rejected):
        return
    over = after is IncidentState.CLOSED
    moved = tx.connection.execute(
        update(incidents)
        .where(incidents.c.id == incident.id, incidents.c.state == incident.state.value)
        .values(
            state=after.value,
            since=tx.now,
            deadline=None if lasts is None else tx.now + lasts,
            closed_at=tx.now if over else None,
        )
    )
    if moved.rowcount != 1:
        return
    line = _journal(tx, incident, _DONE[event], incident.state, after, reason, facts)
    if len(incident.evidence) < MOST_EVIDENCE:
        _set(tx, incident, evidence=[*incident.evidence, line])


def _host(incident: Incident) -> str | None:
    if incident.subject_kind == "host":
        return incident.subject_id
    return host_of(incident.subject_id) if incident.subject_kind == SUBJECT else None


_DONE = {"eased": "eased", "returned": "returned", "stayed_away": "closed"}


def _set(tx: Tx, incident: Incident, **values: Any) -> None:
    tx.connection.execute(update(incidents).where(incidents.c.id == incident.id).values(values))


def _journal(
    tx: Tx,
    incident: Incident,
    what: str,
    before: IncidentState | None,
    after: IncidentState,
    reason: str,
    facts: dict[str, Any],
) -> str:
    tx.nudges.add("pages")
    (line,) = tx.record(
        Entry(
            actor=ACTOR,
            kind=f"incident.{what}",
            subject_kind="incident",
            subject_id=incident.id,
            from_state=before.value if before is not None else None,
            to_state=after.value,
            reason=reason,
            evidence={"code": incident.code.value, "severity": incident.severity.value, **facts},
            host=_host(incident),
        )
    )
    return line
