"""After a pause one claim tries whether GitHub gives runners again; the others wait for what it finds (T22, R20).

Until then every further mint would most likely fail as well: a call for each slot, and a claim that comes to
nothing for each job. A runner that is given ends the pause (`pauses.resume`), and all go on at once.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from andon.model.claim_states import ClaimState
from andon.model.nouns import Claim
from andon.rules.dispatch import Policy, WaitingJob
from andon.store.jobs import oldest_waiting
from andon.store.pauses import Pause, paused_in
from andon.store.prepared import Prepared
from andon.store.schema import LIVE_CLAIM, QUEUED, claims, jobs

_RESERVED = Prepared(
    select(claims.c.owner, claims.c.repository, claims.c.pool).where(
        LIVE_CLAIM, claims.c.state == ClaimState.RESERVED.value
    )
)
_HOMES = Prepared(
    select(jobs.c.repository, jobs.c.pool)
    .where(QUEUED, jobs.c.pool.is_not(None), jobs.c.owner == bindparam("owner"))
    .distinct()
    .order_by(jobs.c.repository, jobs.c.pool)
)
_Work = tuple[str, str, str]
"""Owner, repository and pool."""


def jobs_to_try(connection: Connection, known: Sequence[Pause], policy: Policy, now: datetime) -> list[WaitingJob]:
    """One waiting job for each pause that has run out and of which nobody tries already whether it is over."""
    over = [each for each in known if each.until <= now]
    if not over:
        return []
    tried: list[_Work] = [(owner, repository, pool) for owner, repository, pool in _RESERVED.all(connection)]
    chosen: list[WaitingJob] = []
    for pause in over:
        if _is_tried(pause, tried):
            continue
        others = [each for each in known if each is not pause and (each.until > now or _is_tried(each, tried))]
        job = next(_candidates(connection, pause, policy, others), None)
        if job is not None:
            chosen.append(job)
            tried.append((job.owner, job.repository, job.pool))
    return chosen


def is_being_tried(pause: Pause, live: Sequence[Claim]) -> bool:
    """Whether one of these claims tries whether the pause is over."""
    reserved = [each for each in live if each.state is ClaimState.RESERVED]
    return _is_tried(pause, [(each.owner, each.repository, each.pool) for each in reserved])


def _is_tried(pause: Pause, tried: Sequence[_Work]) -> bool:
    return any(pause.covers(*work) for work in tried)


def _candidates(connection: Connection, pause: Pause, policy: Policy, others: Sequence[Pause]) -> Iterator[WaitingJob]:
    """Another repository and pool each time: where the failure is that of one, the others are not held up by it."""
    homes = [
        (repository, pool)
        for repository, pool in _HOMES.all(connection, owner=pause.owner)
        if pool in policy.pools and pause.covers(pause.owner, repository, pool)
    ]
    first = (pause.failures - 1) % len(homes) if homes else 0
    for repository, pool in (*homes[first:], *homes[:first]):
        paused = paused_in(others, pool)
        yield from oldest_waiting(connection, policy.pools[pool], 1, paused, of=(pause.owner, repository))
