"""What is known of adopted slots: which stand idle, what GitHub says of their runners, which pool each serves.

The agent knows a runner's name and process; labels and whether GitHub reaches it come from GitHub's list of runners.
Two registrations, or two slots, of one name cannot be told apart: nothing is concluded from them (law 4). A fleet
without adopted slots pays for one look into an empty index, and that only in rounds with work.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, or_, select, update

from andon.model.config import Pool
from andon.model.host_states import HostObserved, Intent
from andon.model.job_states import JobStatus
from andon.model.journal import Entry
from andon.model.nouns import Registration, Slot
from andon.model.wire import SlotState
from andon.rules.adopted_slots import KIND, AdoptedFact, Taker, pool_of_runner, rest_of
from andon.rules.liveness import GitHubView
from andon.store.prepared import Prepared
from andon.store.rows import to_struct
from andon.store.schema import ADOPTED, NOT_OVER, hosts, jobs, registrations, slots
from andon.store.transaction import Tx
from andon.store.withheld import runners_withheld, short_of_room

READ_LATELY = timedelta(minutes=15)
"""A list that was read longer ago says nothing of now."""
_WORKING = select(jobs.c.runner_name).where(
    NOT_OVER, jobs.c.status == JobStatus.IN_PROGRESS.value, jobs.c.runner_name.is_not(None)
)
# Made once: this runs in every round of dispatch that has work.
_TAKERS = Prepared(
    select(
        slots.c.host,
        slots.c.slot,
        slots.c.pool,
        slots.c.runner,
        registrations.c.owner,
        registrations.c.repository,
        slots.c.since,
    )
    .join(hosts, hosts.c.name == slots.c.host)
    .join(registrations, registrations.c.name == slots.c.runner)
    .where(
        ADOPTED,
        or_(slots.c.state == SlotState.IDLE.value, slots.c.state == SlotState.LISTENING.value),
        slots.c.intent == Intent.OPEN.value,
        hosts.c.intent == Intent.OPEN.value,
        hosts.c.observed == HostObserved.REPORTING.value,
        or_(slots.c.rests_until.is_(None), slots.c.rests_until <= bindparam("now")),
        registrations.c.status == "online",
        registrations.c.read_at >= bindparam("read_after", type_=registrations.c.read_at.type),
        # It was busy when the list was read; its host has said since that the job is over.
        or_(~registrations.c.busy, registrations.c.read_at < slots.c.since),
        slots.c.runner.not_in(_WORKING),
    )
    .order_by(slots.c.host, slots.c.slot)
)
_POOLS = Prepared(select(slots.c.pool).where(ADOPTED))
_NAMES = Prepared(select(slots.c.runner).where(ADOPTED, slots.c.runner.is_not(None)))


def takers(connection: Connection, now: datetime) -> tuple[Taker, ...]:
    """Adopted slots that stand idle, of open hosts that report, and have room for a job."""
    found = [
        Taker(host=host, slot=slot, pool=pool, runner=runner, owner=owner, repository=repository, idle_since=since)
        for host, slot, pool, runner, owner, repository, since in _TAKERS.all(
            connection, now=now, read_after=now - READ_LATELY
        )
    ]
    if not found:
        return ()
    twice, short = _twice(connection), short_of_room(connection)
    listed = Counter(each.runner for each in found)
    return tuple(
        each
        for each in found
        if each.runner not in twice and listed[each.runner] == 1 and (each.host, each.slot) not in short
    )


def by_pool(connection: Connection) -> Counter[str]:
    """How many adopted slots each pool has, whatever they do."""
    return Counter(pool for (pool,) in _POOLS.all(connection))


def names(connection: Connection) -> frozenset[str]:
    """The names of adopted runners."""
    return frozenset(name for (name,) in _NAMES.all(connection))


def _twice(connection: Connection) -> set[str]:
    counted = Counter(name for (name,) in _NAMES.all(connection))
    return {name for name, many in counted.items() if many > 1}


def registrations_of(connection: Connection, here: Iterable[Slot]) -> dict[str, Registration]:
    """By runner, the one registration of each adopted slot among these. Without such slots nothing is asked."""
    wanted = sorted({slot.runner for slot in here if slot.kind == KIND and slot.runner})
    if not wanted:
        return {}
    twice = _twice(connection)
    rows = connection.execute(select(registrations).where(registrations.c.name.in_(wanted))).mappings()
    found = [to_struct(row, Registration) for row in rows]
    many = Counter(each.name for each in found)
    return {each.name: each for each in found if many[each.name] == 1 and each.name not in twice}


def facts(connection: Connection, here: Sequence[Slot], now: datetime) -> dict[tuple[str, int], AdoptedFact]:
    """What GitHub says of each adopted slot among these. Without such slots nothing is asked."""
    adopted = [slot for slot in here if slot.kind == KIND]
    if not adopted:
        return {}
    listed = registrations_of(connection, adopted)
    known = [slot.runner for slot in adopted if slot.runner in listed]
    at_work: dict[str | None, int] = {}
    if known:
        rows = connection.execute(
            select(jobs.c.runner_name, jobs.c.id).where(
                NOT_OVER, jobs.c.status == JobStatus.IN_PROGRESS.value, jobs.c.runner_name.in_(known)
            )
        )
        at_work = {row.runner_name: row.id for row in rows}
    return {
        (slot.host, slot.slot): AdoptedFact(
            github=github_view(slot, listed.get(slot.runner or ""), now), job=at_work.get(slot.runner)
        )
        for slot in adopted
    }


def github_view(slot: Slot, listed: Registration | None, now: datetime) -> GitHubView:
    """What GitHub's list says of the slot's runner now."""
    if listed is None or now - listed.read_at > READ_LATELY:
        return GitHubView.UNKNOWN
    if listed.busy and listed.read_at >= slot.since:
        return GitHubView.BUSY
    return GitHubView(listed.status)


def assign_pools(tx: Tx, carried: Mapping[str, Sequence[str]], pools: Sequence[Pool]) -> None:
    """Gives each adopted slot whose runner a list shows (name -> labels) the pool that its labels serve.

    A slot whose agent names its pool keeps that; one without any fitting pool serves none.
    """
    rows = tx.connection.execute(select(slots.c.host, slots.c.slot, slots.c.runner, slots.c.pool).where(ADOPTED)).all()
    twice = _twice(tx.connection)
    # Their labels are taken off, or are just being given back.
    withheld = runners_withheld(tx.connection, carried)
    configured = {pool.name for pool in pools}
    for row in rows:
        if row.runner not in carried or row.runner in twice or row.runner in withheld:
            continue
        pool = pool_of_runner(carried[row.runner], pools) or ""
        if pool == row.pool or (not pool and row.pool not in configured):
            continue
        tx.connection.execute(
            update(slots).where(and_(slots.c.host == row.host, slots.c.slot == row.slot)).values(pool=pool)
        )
        tx.record(
            Entry(
                actor="loop:liveness",
                kind="slot.pool_known",
                subject_kind="slot",
                subject_id=f"{row.host}/{row.slot}",
                from_state=row.pool or None,
                to_state=pool or None,
                reason=f"the labels of runner {row.runner} serve pool {pool}"
                if pool
                else f"no pool has all its labels among those of runner {row.runner}",
                evidence={"labels": list(carried[row.runner])},
                host=row.host,
            )
        )
        tx.nudges.add("dispatch")


def pools_on(connection: Connection, host: str) -> dict[str, str]:
    """The pools of a host's slots, by the slot's number: of adopted ones those that labels told.

    Also of one that was made a JIT slot since: its agent may not have started anew. What is not known is absent.
    """
    here = and_(slots.c.host == host, slots.c.pool != "")
    return {str(number): pool for number, pool in connection.execute(select(slots.c.slot, slots.c.pool).where(here))}


def let_lie(tx: Tx, taker: Taker, job_id: int) -> None:
    """The taker stood idle and a job that it could take lay: it is not counted on for a while."""
    here = and_(slots.c.host == taker.host, slots.c.slot == taker.slot)
    times = (tx.connection.execute(select(slots.c.failed_starts).where(here)).scalar() or 0) + 1
    rest = rest_of(times)
    tx.connection.execute(update(slots).where(here).values(failed_starts=times, rests_until=tx.now + rest))
    tx.record(
        Entry(
            actor="loop:dispatch",
            kind="slot.not_counted",
            subject_kind="slot",
            subject_id=f"{taker.host}/{taker.slot}",
            reason=f"adopted runner {taker.runner} stood idle and did not take job {job_id}; a runner is made for it, "
            f"and this one is not counted on for {int(rest.total_seconds())} s",
            evidence={"runner": taker.runner, "idle_since": taker.idle_since.isoformat(), "times": times},
            job_id=job_id,
            host=taker.host,
        )
    )
