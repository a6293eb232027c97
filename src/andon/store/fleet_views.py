"""Hosts, runners, pools and owners as people see them, and the counts behind the metrics."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from andon.model.api import DeliveryView, HostDisk, HostView, OwnerView, PoolView, SlotView
from andon.model.claim_states import ClaimState
from andon.model.config import Config
from andon.model.delivery_states import NOT_HERE
from andon.model.nouns import Claim, Host, Slot
from andon.rules.adopted_slots import AdoptedFact, adopted_note
from andon.rules.slot_rest import rest_text, rests
from andon.rules.slot_views import slot_state
from andon.store import adopted_slots, budgets, claims, disk_views, hosts, jobs
from andon.store.pauses import pause_of, pauses
from andon.store.schema import NOT_OVER, deliveries, journal
from andon.store.schema import disks as disks_table
from andon.store.schema import hosts as hosts_table
from andon.store.schema import jobs as jobs_table
from andon.store.schema import slots as slots_table
from andon.store.schema import workspaces as workspaces_table


def host_views(connection: Connection, now: datetime, *, name: str | None = None) -> list[HostView]:
    """Every host, or the one named, with its slots as they are at `now`."""
    live = {(claim.host, claim.slot): claim for claim in claims.live_claims(connection, host=name)}
    by_host: dict[str, list[Slot]] = {}
    for slot in hosts.all_slots(connection, host=name):
        by_host.setdefault(slot.host, []).append(slot)
    adopted = adopted_slots.facts(connection, [slot for slots in by_host.values() for slot in slots], now)
    found = [host for host in hosts.all_hosts(connection) if name is None or host.name == name]
    filled = disk_views.host_disks(connection, host=name) if any(host.disks for host in found) else {}
    return [_host(host, by_host.get(host.name, []), live, adopted, filled.get(host.name, ()), now) for host in found]


def _host(
    host: Host,
    slots: list[Slot],
    live: dict[tuple[str, int], Claim],
    adopted: dict[tuple[str, int], AdoptedFact],
    disk: tuple[HostDisk, ...],
    now: datetime,
) -> HostView:
    return HostView(
        name=host.name,
        intent=host.intent.value,
        observed=host.observed.value,
        last_seen=host.last_seen,
        reason=host.reason,
        version=host.version,
        boot_id=host.boot_id,
        disk=disk,
        slots=tuple(
            _slot(slot, host, live.get((slot.host, slot.slot)), adopted.get((slot.host, slot.slot)), now)
            for slot in slots
        ),
    )


def _slot(slot: Slot, host: Host, claim: Claim | None, adopted: AdoptedFact | None, now: datetime) -> SlotView:
    return SlotView(
        slot=slot.slot,
        kind=slot.kind,
        pool=slot.pool,
        state=slot_state(slot, host, claim, now, adopted),
        intent=slot.intent.value,
        job=claim.job_id if claim else adopted.job if adopted else None,
        runner=claim.runner_name if claim else slot.runner,
        since=claim.since if claim else slot.since,
        failed_starts=slot.failed_starts,
        rests_until=slot.rests_until if rests(slot, now) else None,
    )


def pool_views(connection: Connection, config: Config, now: datetime) -> list[PoolView]:
    """Every configured pool with its slots and its waiting work."""
    waiting: dict[str, int] = {}
    for pool, _, count in jobs.waiting_counts(connection):
        waiting[pool] = waiting.get(pool, 0) + count
    oldest = jobs.oldest_queued_at(connection)
    slots = [slot for host in host_views(connection, now) for slot in host.slots]
    return [
        PoolView(
            name=pool.name,
            labels=pool.labels,
            trust=pool.trust,
            slots=sum(1 for slot in slots if slot.pool == pool.name),
            idle=sum(1 for slot in slots if slot.pool == pool.name and slot.state == "idle"),
            starting=sum(1 for slot in slots if slot.pool == pool.name and slot.state == "starting"),
            running=sum(1 for slot in slots if slot.pool == pool.name and slot.state == "running"),
            waiting=waiting.get(pool.name, 0),
            oldest_queued_at=oldest.get(pool.name),
        )
        for pool in config.pool
    ]


def owner_views(connection: Connection, config: Config) -> list[OwnerView]:
    """Every owner that is configured or has work."""
    used, _ = claims.live_counts(connection)
    waiting: dict[str, int] = {}
    for _, login, count in jobs.waiting_counts(connection):
        waiting[login] = waiting.get(login, 0) + count
    known, quotas = pauses(connection), budgets.all_budgets(connection)
    configured = {owner.login: owner for owner in config.owner}
    views: list[OwnerView] = []
    for login in dict.fromkeys((*configured, *used, *waiting)):
        owner, pause = configured.get(login), pause_of(known, login, "", "")
        views.append(
            OwnerView(
                login=login,
                weight=owner.weight if owner else 1.0,
                max_slots=owner.max_slots if owner else None,
                used=used.get(login, 0),
                waiting=waiting.get(login, 0),
                paused_until=pause.until if pause else None,
                pause_reason=pause.reason if pause else None,
                budgets=tuple(each for each in quotas if login in each.owners),
            )
        )
    return views


def delivery_views(
    connection: Connection,
    limit: int,
    before: int | None = None,
    *,
    state: str | None = None,
    since: datetime | None = None,
    arrived: bool = False,
) -> list[tuple[int, DeliveryView]]:
    """Deliveries newest first, each behind its sequence number; `before` is the number to go on from.

    `since`: received then or later. `arrived`: without those that we only know from GitHub's log.
    """
    query = (
        select(
            deliveries.c.seq,
            deliveries.c.guid,
            deliveries.c.event,
            deliveries.c.action,
            deliveries.c.received_at,
            deliveries.c.state,
            deliveries.c.reason,
        )
        .order_by(deliveries.c.seq.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(deliveries.c.seq < before)
    if state is not None:
        query = query.where(deliveries.c.state == state)
    if since is not None:
        query = query.where(deliveries.c.received_at >= since)
    if arrived:
        query = query.where(deliveries.c.state.not_in(sorted(NOT_HERE)))
    return [
        (
            row.seq,
            DeliveryView(
                guid=row.guid,
                event=row.event,
                action=row.action,
                received_at=row.received_at,
                state=row.state,
                reason=row.reason,
            ),
        )
        for row in connection.execute(query)
    ]


def open_job_counts(connection: Connection) -> dict[tuple[str, str], int]:
    """(status, pool) -> jobs that are not over."""
    rows = connection.execute(
        select(jobs_table.c.status, func.coalesce(jobs_table.c.pool, "none"), func.count())
        .where(NOT_OVER)
        .group_by(jobs_table.c.status, jobs_table.c.pool)
    )
    return {(row[0], row[1]): row[2] for row in rows}


def host_counts(connection: Connection) -> dict[tuple[str, str], int]:
    """(intent, observed) -> hosts."""
    counts: dict[tuple[str, str], int] = {}
    for host in hosts.all_hosts(connection):
        key = (host.intent.value, host.observed.value)
        counts[key] = counts.get(key, 0) + 1
    return counts


def oldest_unbooted(connection: Connection) -> datetime | None:
    """Since when the oldest claim waits for its runner to come up."""
    waiting = [
        claim.created_at
        for claim in claims.live_claims(connection)
        if claim.state in (ClaimState.RESERVED, ClaimState.MINTED, ClaimState.LAUNCHED)
    ]
    return min(waiting, default=None)


def slot_notes(connection: Connection, now: datetime, *, host: str | None = None) -> dict[tuple[str, int], str]:
    """(host, slot) -> why it takes no work: what the agent says of it, else until when it rests."""
    notes: dict[tuple[str, int], str] = {}
    here = hosts.all_slots(connection, host=host)
    adopted = adopted_slots.facts(connection, here, now)
    for slot in here:
        fact = adopted.get((slot.host, slot.slot))
        if slot.note is not None:
            notes[slot.host, slot.slot] = slot.note
        elif fact is not None:
            if (note := adopted_note(slot, fact, now)) is not None:
                notes[slot.host, slot.slot] = note
        elif slot.rests_until is not None and rests(slot, now):
            notes[slot.host, slot.slot] = rest_text(slot.failed_starts, slot.rests_until)
    return notes


def change_mark(connection: Connection) -> str:
    """A text that differs whenever something that the pages show has changed.

    Changes of state are journal lines. What a host says of a slot between them (its runner listens,
    say) is only in the slot's `since`.
    """
    line = connection.execute(select(func.max(journal.c.seq))).scalar_one()
    since = connection.execute(select(func.max(slots_table.c.since, type_=slots_table.c.since.type))).scalar_one()
    slots = connection.execute(select(func.count()).select_from(slots_table)).scalar_one()
    known = connection.execute(select(func.count()).select_from(hosts_table)).scalar_one()
    # Not each number that a host tells: open pages follow levels at once, and the rest with each sample that is kept.
    level, sample = disks_table.c.level_since, disks_table.c.sampled_at
    newest = func.max(level, type_=level.type), func.max(sample, type_=sample.type)
    levels = connection.execute(select(func.count(), *newest)).one()
    told = workspaces_table.c.seen_at
    held = connection.execute(select(func.count(), func.max(told, type_=told.type))).one()
    disks = f"{levels[0]}/{levels[1] or ''}/{levels[2] or ''}"
    return f"{line}/{since.isoformat() if since else ''}/{slots}/{known}/{held[0]}/{held[1] or ''}/{disks}"
