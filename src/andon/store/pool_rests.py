"""What is known of the slots of pools of which some rest, for `rules.pool_rests`."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from andon.rules.pool_rests import SlotFact
from andon.rules.slot_views import closed_by
from andon.store import hosts
from andon.store.prepared import Prepared
from andon.store.schema import slots

# Made once: this asks with every look at the fleet, and mostly nothing rests.
_RESTING = Prepared(
    select(slots.c.pool)
    .where(slots.c.rests_until > bindparam("now", type_=slots.c.rests_until.type))
    .distinct()
    .order_by(slots.c.pool)
)


def slots_of_resting_pools(connection: Connection, now: datetime, also: Collection[str]) -> list[SlotFact]:
    """Every slot of each pool of which a slot rests, and of the pools in `also`."""
    pools = {pool for (pool,) in _RESTING.all(connection, now=now)} | set(also)
    if not pools:
        return []
    known = {host.name: host for host in hosts.all_hosts(connection)}
    return [
        SlotFact(
            pool=slot.pool,
            host=slot.host,
            slot=slot.slot,
            closed_by=closed_by(slot, known.get(slot.host), now),
            failed_starts=slot.failed_starts,
            rests_until=slot.rests_until,
        )
        for slot in hosts.all_slots(connection)
        if slot.pool in pools
    ]
