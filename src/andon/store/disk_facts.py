"""What admission by room looks at, read in the transaction that decides (R51, `rules.disk_admission`).

A fleet whose hosts tell of no filesystem pays nothing for it.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from andon.model.host_states import HostObserved
from andon.model.workspace_states import WorkspaceState
from andon.rules.disk_admission import DiskFacts, Filesystem, Occupant, Rooms
from andon.rules.disk_incidents import FOREIGN_FOR, DiskSituation, Foreign
from andon.rules.dispatch import FreeSlot, WaitingJob
from andon.rules.growth import Basis, Growth
from andon.store import deletions
from andon.store import hosts as hosts_of
from andon.store.disks import all_disks
from andon.store.growth import growth_of
from andon.store.prepared import Prepared, Records
from andon.store.schema import LIVE_CLAIM, QUEUED, claims, disks, hosts, jobs, slots, workspaces


class _Disk(Filesystem, frozen=True, kw_only=True):
    host: str


class _Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A live claim, and GitHub's name of the job that it stands for."""

    host: str
    slot: int
    repository: str
    pool: str
    runner_name: str
    name: str | None


class _AtWork(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace whose job may still write, with the pool of its slot."""

    host: str
    slot: int
    repository: str | None
    job_key: str | None
    runner: str | None
    bytes: int | None
    pool: str | None


# Made once: these run with the rounds of dispatch in which a host that tells of its filesystems has a free slot.
_TELLS = select(hosts.c.name).where(hosts.c.disks > 0)
_DISKS = Records(
    select(
        disks.c.host, disks.c.mount, disks.c.free, disks.c.total, disks.c.floor, disks.c.admits, disks.c.slots
    ).order_by(disks.c.host, disks.c.mount),
    _Disk,
)
_CLAIMED = Records(
    select(claims.c.host, claims.c.slot, claims.c.repository, claims.c.pool, claims.c.runner_name, jobs.c.name)
    .select_from(claims.outerjoin(jobs, jobs.c.id == claims.c.job_id))
    .where(LIVE_CLAIM, claims.c.host.in_(_TELLS))
    .order_by(claims.c.host, claims.c.slot),
    _Claimed,
)
_AT_WORK = Records(
    select(
        workspaces.c.host,
        workspaces.c.slot,
        workspaces.c.repository,
        workspaces.c.job_key,
        workspaces.c.runner,
        workspaces.c.bytes,
        slots.c.pool,
    )
    .select_from(workspaces.outerjoin(slots, (slots.c.host == workspaces.c.host) & (slots.c.slot == workspaces.c.slot)))
    .where(
        (workspaces.c.state == WorkspaceState.FRESH.value) | (workspaces.c.state == WorkspaceState.LEASED.value),
        workspaces.c.slot.is_not(None),
        workspaces.c.host.in_(_TELLS),
    )
    .order_by(workspaces.c.host, workspaces.c.id),
    _AtWork,
)
_QUEUED_IN = Prepared(select(jobs.c.repository).where(QUEUED, jobs.c.pool.is_not(None)).distinct())


def for_dispatch(connection: Connection, free: Sequence[FreeSlot], waiting: Sequence[WaitingJob]) -> DiskFacts | None:
    """What a round looks at; None: no host with a free slot tells of its filesystems, or nothing waits."""
    if not waiting or not any(slot.tells_disks for slot in free):
        return None
    claimed, at_work = _CLAIMED.structs(connection), _AT_WORK.structs(connection)
    known = growth_of(connection, _repositories(claimed, at_work) | {job.repository for job in waiting})
    needs = {job.id: known.of_name(job.repository, job.pool, job.name) for job in waiting}
    return msgspec.structs.replace(_facts(connection, claimed, at_work, known), needs=needs)


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """The same for who only looks: every filesystem, and what is known of all jobs that wait or run."""

    rooms: Rooms
    growth: Growth


def for_people(connection: Connection, *, waiting: bool = True) -> Room | None:
    """None: no host tells of its filesystems. Without `waiting` nothing is known of jobs that wait."""
    if connection.execute(_TELLS.limit(1)).first() is None:
        return None
    claimed, at_work = _CLAIMED.structs(connection), _AT_WORK.structs(connection)
    queued = {repository for (repository,) in _QUEUED_IN.all(connection)} if waiting else set[str]()
    known = growth_of(connection, _repositories(claimed, at_work) | queued)
    return Room(rooms=Rooms(_facts(connection, claimed, at_work, known)), growth=known)


_MOST_FOREIGN = 200


def disk_situation(connection: Connection, now: datetime) -> DiskSituation:
    """What the verdicts on disks look at (`rules.disk_incidents`)."""
    foreign = deletions.foreign_since(connection, now - FOREIGN_FOR, _MOST_FOREIGN)
    every = hosts_of.all_hosts(connection)
    return DiskSituation(
        now=now,
        disks=all_disks(connection) if any(host.disks for host in every) else (),
        reporting=frozenset(host.name for host in every if host.observed is HostObserved.REPORTING),
        known=frozenset(host.name for host in every),
        foreign=tuple(
            Foreign(host=each.host, path=each.path, told_at=each.told_at, evidence=each.evidence) for each in foreign
        ),
    )


def _repositories(claimed: Sequence[_Claimed], at_work: Sequence[_AtWork]) -> set[str]:
    return {each.repository for each in claimed} | {each.repository for each in at_work if each.repository}


def _facts(connection: Connection, claimed: Sequence[_Claimed], at_work: Sequence[_AtWork], known: Growth) -> DiskFacts:
    filesystems: dict[str, tuple[Filesystem, ...]] = {}
    for disk in _DISKS.structs(connection):
        filesystems[disk.host] = (*filesystems.get(disk.host, ()), disk)
    return DiskFacts(filesystems=filesystems, occupants=_occupants(claimed, at_work, known))


def _occupants(claimed: Sequence[_Claimed], at_work: Sequence[_AtWork], known: Growth) -> tuple[Occupant, ...]:
    """A claim and the workspace of its runner are one; a persistent runner's job has no claim."""
    of_runner = {(each.host, each.slot, each.runner): each for each in at_work}
    found: list[Occupant] = []
    for claim in claimed:
        space = of_runner.pop((claim.host, claim.slot, claim.runner_name), None)
        expected = known.of_name(claim.repository, claim.pool, claim.name)
        if space is not None:
            by_key = known.of_key(claim.repository, claim.pool, space.job_key)
            expected = by_key if by_key.basis is Basis.KIND else expected
        written = 0 if space is None else space.bytes or 0
        found.append(Occupant(host=claim.host, slot=claim.slot, expected=expected, written=written))
    for space in of_runner.values():
        expected = known.of_key(space.repository or "", space.pool or "", space.job_key)
        found.append(Occupant(host=space.host, slot=space.slot, expected=expected, written=space.bytes or 0))
    return tuple(found)
