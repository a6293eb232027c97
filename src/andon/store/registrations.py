"""GitHub's lists of runners as they were read last, of our runners only; the reads in a row are counted.

One transaction keeps a whole list of one place. Whether a list may be believed at all is decided
before (rules.liveness_registrations).
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, or_, select, update

from andon.model.claim_states import LIVE, ClaimState
from andon.model.host_states import HostObserved
from andon.model.nouns import Claim, Registration
from andon.model.wire import SlotState
from andon.rules.liveness_registrations import READS, READS_APART, SETTLED_IN, Leftover
from andon.store.bulk import insert_new
from andon.store.prepared import Prepared, Records
from andon.store.rows import to_columns, to_struct
from andon.store.schema import LIVE_CLAIM, claims, hosts, outbox, registrations, slots
from andon.store.transaction import Tx

_BATCH = 500
"""Names in one statement."""
ABSENT = "absent"


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One of our runners in a list."""

    name: str
    runner_id: int
    status: str
    busy: bool


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where runners are registered. An empty repository: at the organisation."""

    owner: str
    repository: str


def all_registrations(connection: Connection) -> dict[str, Registration]:
    """Every entry, by the runner's name."""
    rows = connection.execute(select(registrations)).mappings()
    return {row["name"]: to_struct(row, Registration) for row in rows}


_ON_HOST = Records(
    select(registrations)
    .join(claims, claims.c.runner_name == registrations.c.name)
    .where(claims.c.host == bindparam("host"))
    .order_by(registrations.c.name),
    Registration,
)
_NAMED = Records(select(registrations).where(registrations.c.name == bindparam("name")), Registration)


def registrations_on(connection: Connection, host: str) -> dict[str, Registration]:
    """The entries of runners that were made for this host, by the runner's name."""
    return {each.name: each for each in _ON_HOST.structs(connection, host=host)}


def registration_of(connection: Connection, name: str) -> Registration | None:
    """The entry of this runner, or None."""
    return _NAMED.struct(connection, name=name)


_OF_CLAIMS = Prepared(
    select(claims.c.owner, claims.c.repository)
    .where(or_(LIVE_CLAIM, claims.c.created_at >= bindparam("since")))
    .distinct()
)
_KEPT = Prepared(select(registrations.c.owner, registrations.c.repository).distinct())


def places_of_claims(connection: Connection, since: datetime) -> set[tuple[str, str]]:
    """(owner, repository) of the work that runners were claimed for, live or not older than `since`."""
    return {(owner, repository) for owner, repository in _OF_CLAIMS.all(connection, since=since)}


def places_kept(connection: Connection) -> set[tuple[str, str]]:
    """(owner, repository) of the places that entries are kept of; the repository is empty for an organisation."""
    return {(owner, repository) for owner, repository in _KEPT.all(connection)}


_NAMES = Prepared(select(registrations.c.name))


def names_kept(connection: Connection) -> frozenset[str]:
    """The names of all entries."""
    return frozenset(name for (name,) in _NAMES.all(connection))


def at_work(connection: Connection, live: Sequence[Claim], now: datetime) -> list[Claim]:
    """Of the live claims those whose runner listens or works, by the report of a host that reports, for a
    while already."""
    rows = connection.execute(
        select(slots.c.host, slots.c.claim)
        .join(hosts, hosts.c.name == slots.c.host)
        .where(
            slots.c.state.in_((SlotState.LISTENING.value, SlotState.RUNNING.value)),
            hosts.c.observed == HostObserved.REPORTING.value,
        )
    )
    alive = {(row.host, row.claim) for row in rows}
    serving = (ClaimState.REGISTERED, ClaimState.BUSY)
    return [
        claim
        for claim in live
        if claim.state in serving and claim.since <= now - SETTLED_IN and (claim.host, claim.id) in alive
    ]


def _here(place: Place) -> ColumnElement[bool]:
    return and_(registrations.c.owner == place.owner, registrations.c.repository == place.repository)


def keep(tx: Tx, place: Place, listed: Sequence[Sighting], expected: Sequence[Claim]) -> None:
    """Keeps one whole, believed list. `expected`: the live claims of the place.

    An entry that is not listed any more is absent while its claim is live, and forgotten afterwards. A
    read too soon after the last one counts as the same read.
    """
    rows = tx.connection.execute(select(registrations).where(_here(place))).mappings()
    known = {row["name"]: to_struct(row, Registration) for row in rows}
    seen = {each.name: each for each in listed}
    for claim in expected:
        old_enough = claim.runner_id is not None and claim.created_at <= tx.now - SETTLED_IN
        if claim.runner_name not in seen and (claim.runner_name in known or old_enough):
            gone = Sighting(name=claim.runner_name, runner_id=claim.runner_id or 0, status=ABSENT, busy=False)
            seen[claim.runner_name] = gone
    same: list[str] = []
    for name, each in seen.items():
        was = known.get(name)
        if was is not None and (was.runner_id, was.status, was.busy) == (each.runner_id, each.status, each.busy):
            if tx.now - was.read_at >= READS_APART:
                same.append(name)
            continue
        row = Registration(
            owner=place.owner,
            repository=place.repository,
            name=name,
            runner_id=each.runner_id,
            status=each.status,
            busy=each.busy,
            since=tx.now,
            reads=1,
            read_at=tx.now,
        )
        _replace(tx.connection, row, new=was is None)
    for names in _batches(same):
        tx.connection.execute(
            update(registrations)
            .where(_here(place), registrations.c.name.in_(names))
            .values(reads=registrations.c.reads + 1, read_at=tx.now)
        )
    for names in _batches([name for name in known if name not in seen]):
        tx.connection.execute(delete(registrations).where(_here(place), registrations.c.name.in_(names)))


def _replace(connection: Connection, row: Registration, *, new: bool) -> None:
    values: dict[str, Any] = to_columns(row)
    if new:
        insert_new(connection, registrations, [values])
        return
    place = Place(owner=row.owner, repository=row.repository)
    connection.execute(update(registrations).where(_here(place), registrations.c.name == row.name).values(values))


def _batches(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + _BATCH] for start in range(0, len(names), _BATCH)]


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that was offline on several reads, and what stands behind it."""

    registration: Registration
    claim: Claim | None
    leftover: Leftover


def suspects(connection: Connection, place: Place, prefix: str) -> list[Suspect]:
    """Entries of a place that were offline often enough to be judged, the longest first."""
    rows = connection.execute(
        select(registrations)
        .where(_here(place), registrations.c.status == "offline", registrations.c.reads >= READS)
        .order_by(registrations.c.since, registrations.c.name)
    ).mappings()
    found = [to_struct(row, Registration) for row in rows]
    names = [each.name for each in found]
    behind = claims_behind(connection, names)
    shown = reported(connection, names)
    return [
        Suspect(registration=each, claim=behind.get(each.name), leftover=_leftover(each, behind, shown, prefix))
        for each in found
    ]


def _leftover(each: Registration, behind: dict[str, Claim], shown: Collection[str], prefix: str) -> Leftover:
    claim = behind.get(each.name)
    live = claim is not None and claim.state in LIVE
    return Leftover(
        ours=each.name.startswith(prefix),
        status=each.status,
        busy=each.busy,
        offline_since=each.since,
        reads=each.reads,
        claim_live=live,
        claim_over_since=claim.since if claim is not None and not live else None,
        process_reported=each.name in shown,
    )


def claims_behind(connection: Connection, names: Sequence[str]) -> dict[str, Claim]:
    """The claims that these runners were made for, live or over."""
    found: dict[str, Claim] = {}
    for some in _batches(names):
        rows = connection.execute(select(claims).where(claims.c.runner_name.in_(some))).mappings()
        found.update((row["runner_name"], to_struct(row, Claim)) for row in rows)
    return found


def reported(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of the names that some host's last report shows a process of, whether it reports now or not."""
    found: set[str] = set()
    for some in _batches(names):
        rows = connection.execute(
            select(slots.c.runner).where(slots.c.runner.in_(some), slots.c.state != SlotState.IDLE.value)
        )
        found.update(row.runner for row in rows)
    return found


def was_ordered(connection: Connection, key: str) -> bool:
    """Whether the removal with this key was ordered already, whatever became of it."""
    return connection.execute(select(outbox.c.id).where(outbox.c.idempotency_key == key)).first() is not None
