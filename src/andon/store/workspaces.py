"""Workspaces as hosts tell of them, and what we tell hosts of the runs and jobs behind them.

A host's list is level-triggered: it replaces what was known of that host (interfaces.md section 5). Which job
a workspace is of is never stored: it follows from jobs and workspaces (R11).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import msgspec
from sqlalchemy import Connection, bindparam, delete, exists, select, update

from andon.model.job_states import JobStatus
from andon.model.nouns import Host, Workspace
from andon.model.wire import JobWord, LeaseReport
from andon.model.workspace_states import WorkspaceState
from andon.rules.growth import Basis
from andon.rules.workspace_words import JobFact, RunWord, job_of, run_word
from andon.store import growth
from andon.store import hosts as hosts_of
from andon.store.prepared import Prepared, Records
from andon.store.rows import to_columns
from andon.store.schema import claims, hosts, jobs, runs, workspaces
from andon.store.transaction import Tx
from andon.store.upsert import upsert_all

_BIGINT = 2**63
_INTEGER = 2**31
_LONGEST = {"id": 200, "state": 40, "repository": 200, "job": 200, "runner": 200, "path": 4096}
"""Characters of a text; what is longer is cut: it comes from a job's environment."""
_MOST_HOLDS = 20
NOTHING_TAKEN: Mapping[str, int] = MappingProxyType({})
_LONGEST_HOLD = 500

# Made once: these run with the syncs of hosts that have workspaces.
_OF_HOST = Records(
    select(workspaces).where(workspaces.c.host == bindparam("host")).order_by(workspaces.c.id), Workspace
)
_COUNT = Prepared(update(hosts).where(hosts.c.name == bindparam("host")).values(workspaces=bindparam("workspaces")))
_FORGET = Prepared(
    delete(workspaces).where(workspaces.c.host == bindparam("of_host"), workspaces.c.id == bindparam("of_id"))
)
_FORGET_ALL = Prepared(delete(workspaces).where(workspaces.c.host == bindparam("of_host")))
_HOSTS_OF_RUN = Prepared(select(workspaces.c.host).where(workspaces.c.run_id == bindparam("run")).distinct())
FACTS = (
    jobs.c.id,
    jobs.c.run_id,
    jobs.c.attempt,
    jobs.c.name,
    jobs.c.status,
    jobs.c.conclusion,
    jobs.c.runner_name,
    jobs.c.started_at,
    jobs.c.completed_at,
    exists().where(claims.c.runner_name == jobs.c.runner_name).label("single"),
)
"""The columns of a `JobFact`."""
_RUNS_OF_HOST = select(workspaces.c.run_id).where(workspaces.c.host == bindparam("host"))
_JOBS_OF_HOST = Records(select(*FACTS).where(jobs.c.run_id.in_(_RUNS_OF_HOST)), JobFact)
_JOBS_OF_RUN = Records(select(*FACTS).where(jobs.c.run_id == bindparam("run")), JobFact)
_ATTEMPTS_OF_HOST = Prepared(select(runs.c.id, runs.c.attempt, runs.c.status).where(runs.c.id.in_(_RUNS_OF_HOST)))


def save(tx: Tx, host: Host, told: Sequence[LeaseReport], taken: Mapping[str, int] = NOTHING_TAKEN) -> None:
    """Replaces what is known of the host's workspaces; only rows that changed are written.

    `taken`: the bytes of those that the host has deleted, by id; one that is measured last goes with that word.
    A host that had none and tells of none costs nothing. What does not fit a column is left out.
    """
    if not told and not host.workspaces:
        return
    known = {each.id: each for each in _OF_HOST.structs(tx.connection, host=host.name)}
    rows: dict[str, Workspace] = {}
    for report in told:
        if (row := _row(host.name, report, known.get(report.id), tx.now)) is not None:
            rows[row.id] = row
    changed = [to_columns(row) for id, row in rows.items() if row != known.get(id)]
    gone = [id for id in known if id not in rows]
    _learn_sizes(tx, host.name, [(known.get(row["id"]), rows[row["id"]]) for row in changed])
    last = [msgspec.structs.replace(known[id], bytes=taken.get(id, known[id].bytes)) for id in gone]
    _learn_sizes(tx, host.name, [(each, None) for each in last])
    upsert_all(tx.connection, workspaces, changed, key=("host", "id"))
    if gone and not rows:
        _FORGET_ALL.run(tx.connection, of_host=host.name)
    else:
        for id in gone:
            _FORGET.run(tx.connection, of_host=host.name, of_id=id)
    if len(rows) != host.workspaces:
        _COUNT.run(tx.connection, host=host.name, workspaces=len(rows))
    if changed or gone:
        tx.nudges.add("pages")


def _row(host: str, told: LeaseReport, known: Workspace | None, now: datetime) -> Workspace | None:
    fits = 0 <= told.run_id < _BIGINT and 0 <= told.attempt < _INTEGER
    if not fits or not told.id or len(told.id) > _LONGEST["id"]:
        return None
    since = told.since if told.since is None or told.since.tzinfo is not None else None
    row = Workspace(
        host=host,
        id=told.id,
        run_id=told.run_id,
        attempt=told.attempt,
        repository=_cut("repository", told.repository),
        job_key=_cut("job", told.job),
        runner=_cut("runner", told.runner),
        slot=told.slot if told.slot is not None and 0 <= told.slot < _INTEGER else None,
        path=_cut("path", told.path),
        state=told.state[: _LONGEST["state"]],
        since=since,
        held_by=tuple(each[:_LONGEST_HOLD] for each in told.held_by[:_MOST_HOLDS]),
        bytes=told.bytes if told.bytes is not None and 0 <= told.bytes < _BIGINT else None,
        standalone=told.standalone,
        made_at=known.made_at if known is not None else min(since or now, now),
        seen_at=known.seen_at if known is not None else now,
    )
    return row if row == known else msgspec.structs.replace(row, seen_at=now)


def _learn_sizes(tx: Tx, host: str, told: Sequence[tuple[Workspace | None, Workspace | None]]) -> None:
    """What jobs that are over wrote. While no workspace was measured this costs nothing."""
    measured = [pair for pair in told if any(each is not None and each.bytes is not None for each in pair)]
    if not measured:
        return
    pools = {slot.slot: slot.pool for slot in hosts_of.all_slots(tx.connection, host=host)}
    for before, now in measured:
        row = now or before
        assert row is not None
        pool = None if row.slot is None else pools.get(row.slot)
        # Looked at first as if its job were over: while it works nobody has to be asked.
        if growth.size_of(before, now, pool, job_over=True) is None:
            continue
        job = job_of(row, _JOBS_OF_RUN.structs(tx.connection, run=row.run_id))
        over = job is not None and job.status == JobStatus.COMPLETED.value
        size = growth.size_of(before, now, pool, job_over=over)
        if size is not None:
            growth.learn(tx, size, None if job is None else job.name)


def _cut(name: str, text: str | None) -> str | None:
    return None if text is None else text[: _LONGEST[name]]


def forget(tx: Tx, host: str) -> None:
    """The host is no more, so nothing is known of its workspaces."""
    _FORGET_ALL.run(tx.connection, of_host=host)


def wake_hosts_of_run(tx: Tx, run_id: int) -> None:
    """The run is over: hosts that have workspaces of it are told at once."""
    tx.nudges |= {f"host:{name}" for (name,) in _HOSTS_OF_RUN.all(tx.connection, run=run_id)}


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the runs of some workspaces."""

    jobs: dict[int, list[JobFact]]
    """By run, those of every attempt."""
    attempts: dict[int, dict[int, str]]
    """By run and attempt, the status that GitHub said."""

    def run(self, run_id: int) -> RunWord:
        """How the run stands."""
        return run_word(self.jobs.get(run_id, ()), self.attempts.get(run_id, {}))

    def job(self, workspace: Workspace) -> JobFact | None:
        """The job of the workspace, or None."""
        return job_of(workspace, self.jobs.get(workspace.run_id, ()))


def make_behind(facts: Iterable[JobFact], attempts: Iterable[tuple[int, int, str]]) -> Behind:
    """Puts rows together: facts of jobs, and (run, attempt, status)."""
    by_run: dict[int, list[JobFact]] = {}
    for fact in facts:
        by_run.setdefault(fact.run_id, []).append(fact)
    said: dict[int, dict[int, str]] = {}
    for run_id, attempt, status in attempts:
        said.setdefault(run_id, {})[attempt] = status
    return Behind(jobs=by_run, attempts=said)


def words_for(connection: Connection, host: str) -> tuple[dict[str, str], dict[str, JobWord]]:
    """What a sync's answer says of the host's workspaces: by run how it stands, by workspace its job where known."""
    here = _OF_HOST.structs(connection, host=host)
    behind = make_behind(_JOBS_OF_HOST.structs(connection, host=host), _ATTEMPTS_OF_HOST.all(connection, host=host))
    stands = {str(run_id): behind.run(run_id).value for run_id in sorted({each.run_id for each in here})}
    found = {each.id: job for each in here if (job := behind.job(each)) is not None}
    expected = _expected(connection, host, [each for each in here if each.id in found])
    words = {id: JobWord(id=job.id, conclusion=job.conclusion, expected=expected.get(id)) for id, job in found.items()}
    return stands, words


def _expected(connection: Connection, host: str, here: Sequence[Workspace]) -> dict[str, int]:
    """What jobs of the kind write, of those that are at work and whose kind is known; by workspace."""
    at_work = [each for each in here if each.state == WorkspaceState.LEASED.value and each.repository]
    if not at_work:
        return {}
    pools = {slot.slot: slot.pool for slot in hosts_of.all_slots(connection, host=host)}
    known = growth.growth_of(connection, {each.repository or "" for each in at_work})
    of_kind = {
        each.id: known.of_key(each.repository or "", pools.get(each.slot or 0) or "", each.job_key) for each in at_work
    }
    return {id: found.bytes for id, found in of_kind.items() if found.basis is Basis.KIND}
