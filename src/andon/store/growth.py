"""What jobs wrote, and what is learnt of it: the p95 of each kind of job and of each pool (R51).

A size is kept once a job is over, by its workspace: told again it is the same, and the largest counts.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from andon.model.nouns import Workspace
from andon.model.workspace_states import WorkspaceState
from andon.rules.growth import NAMES_OF_A_KIND, SIZES_OF_A_KIND, SIZES_OF_A_POOL, Growth, Learnt, p95
from andon.store.disk_tables import growth, growth_samples
from andon.store.prepared import Prepared, Records, listed, values_of
from andon.store.transaction import Tx
from andon.store.upsert import upsert

_AT_WORK = frozenset({WorkspaceState.FRESH.value, WorkspaceState.LEASED.value})
_LONGEST = 120
"""Characters of each part of a kind's name: an entry of an index has a largest size. Longer ones are not learnt."""
_LONGEST_NAME = 300

_OF_KIND = (
    growth_samples.c.pool == bindparam("pool"),
    growth_samples.c.repository == bindparam("repository"),
    growth_samples.c.job_key == bindparam("job_key"),
)
_NEWEST = (growth_samples.c.at.desc(), growth_samples.c.host, growth_samples.c.lease)
# Made once: these run with the end of every job whose workspace was measured.
_SAMPLE = Prepared(
    select(growth_samples.c.bytes).where(
        growth_samples.c.host == bindparam("host"), growth_samples.c.lease == bindparam("lease")
    )
)
_SIZES_OF_KIND = Prepared(
    select(growth_samples.c.bytes, growth_samples.c.host, growth_samples.c.lease)
    .where(*_OF_KIND)
    .order_by(*_NEWEST)
    .limit(SIZES_OF_A_KIND + 1)
)
_SIZES_OF_POOL = Prepared(
    select(growth_samples.c.bytes)
    .where(growth_samples.c.pool == bindparam("pool"))
    .order_by(*_NEWEST)
    .limit(SIZES_OF_A_POOL)
)
_DROP = Prepared(
    delete(growth_samples).where(
        growth_samples.c.host == bindparam("of_host"), growth_samples.c.lease == bindparam("of_lease")
    )
)
_LEARNT = (growth.c.repository, growth.c.job_key, growth.c.pool, growth.c.p95, growth.c.names)
_KNOWN = Records(
    select(*_LEARNT).where(
        growth.c.repository == bindparam("repository"),
        growth.c.job_key == bindparam("job_key"),
        growth.c.pool == bindparam("pool"),
    ),
    Learnt,
)


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """What one job wrote."""

    host: str
    lease: str
    repository: str
    job_key: str
    pool: str
    bytes: int


def size_of(before: Workspace | None, now: Workspace | None, pool: str | None, *, job_over: bool) -> Size | None:
    """The size that the host's newest word of a workspace shows; None: its job is not over, or was not measured.

    `before` None: it was not known; `now` None: the host's list has it no more. While the job works its size is
    not the last one; one that vanished so may have been broken off, unless GitHub says that its job is over.
    """
    told = now if now is not None else before
    if told is None or not pool or (told.state in _AT_WORK and (now is not None or not job_over)):
        return None
    sizes = [each.bytes for each in (before, now) if each is not None and each.bytes is not None]
    names = (told.repository, told.job_key)
    if not sizes or not all(names) or any(len(each or "") > _LONGEST for each in (*names, pool)):
        return None
    return Size(
        host=told.host,
        lease=told.id,
        repository=(told.repository or "").lower(),
        job_key=told.job_key or "",
        pool=pool,
        bytes=max(sizes),
    )


def learn(tx: Tx, size: Size, name: str | None) -> None:
    """Keeps what a job wrote, and what follows for its kind and its pool. `name`: as GitHub calls it, where known."""
    kept = _SAMPLE.value(tx.connection, host=size.host, lease=size.lease)
    if kept is not None and kept >= size.bytes:
        return
    row: dict[str, Any] = {**msgspec.structs.asdict(size), "at": tx.now}
    upsert(tx.connection, growth_samples, row, key=("host", "lease"))
    kind = {"pool": size.pool, "repository": size.repository, "job_key": size.job_key}
    sizes = _SIZES_OF_KIND.all(tx.connection, **kind)
    for _, host, lease in sizes[SIZES_OF_A_KIND:]:
        _DROP.run(tx.connection, of_host=host, of_lease=lease)
    _keep(tx, kind, [bytes for bytes, _, _ in sizes[:SIZES_OF_A_KIND]], name)
    of_pool = {"pool": size.pool, "repository": "", "job_key": ""}
    _keep(tx, of_pool, [bytes for (bytes,) in _SIZES_OF_POOL.all(tx.connection, pool=size.pool)], None)


def _keep(tx: Tx, kind: Mapping[str, str], sizes: list[int], name: str | None) -> None:
    known = _KNOWN.struct(tx.connection, **kind)
    names = list(known.names) if known is not None else []
    if name is not None and len(name) <= _LONGEST_NAME:
        # The one that was seen last stands last.
        names = [*(each for each in names if each != name), name][-NAMES_OF_A_KIND:]
    learnt = p95(sizes)
    row = {**kind, "p95": learnt, "sizes": len(sizes), "names": names, "learnt_at": tx.now}
    upsert(tx.connection, growth, row, key=("repository", "job_key", "pool"))


@lru_cache(maxsize=64)
def _of_repositories(count: int) -> Records[Learnt]:
    return Records(select(*_LEARNT).where(growth.c.repository.in_(listed("known_in", count))), Learnt)


def growth_of(connection: Connection, repositories: Iterable[str]) -> Growth:
    """What is known of the kinds of these repositories, and of every pool (its repository is empty)."""
    wanted = sorted({"", *(each.lower() for each in repositories)})
    return Growth(_of_repositories(len(wanted)).structs(connection, **values_of("known_in", wanted)))
