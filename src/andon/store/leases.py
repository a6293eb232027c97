"""Leadership of loops: a row lease with a generation, so that a replica that slept is fenced.

The holder trusts the lease only within its own time (`expires_at` minus nothing it cannot see): a
fenced transaction checks holder and generation again inside itself.
"""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import bindparam, select, update

from andon.runtime.errors import AndonError
from andon.store.bulk import insert_new
from andon.store.prepared import Prepared, Records
from andon.store.schema import leases
from andon.store.transaction import Tx


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A held lease."""

    name: str
    holder: str
    generation: int


class Fenced(AndonError):
    """The lease has gone to another holder; nothing was changed."""


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    holder: str
    generation: int
    expires_at: datetime


_BY_NAME = Records(select(leases).where(leases.c.name == bindparam("name")), _Row)
"""Runs in every transaction of a leader."""
_RENEW = Prepared(
    update(leases)
    .where(
        leases.c.name == bindparam("of"),
        leases.c.generation == bindparam("was"),
        leases.c.holder == bindparam("held_by"),
    )
    .values(holder=bindparam("holder"), generation=bindparam("generation"), expires_at=bindparam("expires_at"))
)


def take(tx: Tx, name: str, holder: str, *, lasts: timedelta, alone: bool) -> Lease | None:
    """Takes or renews the lease; None while another holder has it.

    `alone` says that no other process can be at work on this database (SQLite behind its lock
    file), so that a dead predecessor's lease need not run out first.
    """
    row = _BY_NAME.struct(tx.connection, name=name)
    now = tx.lease_time()
    expires_at = now + lasts
    if row is None:
        made = insert_new(
            tx.connection,
            leases,
            [{"name": name, "holder": holder, "generation": 1, "expires_at": expires_at}],
        )
        return Lease(name=name, holder=holder, generation=1) if made else None
    mine = row.holder == holder
    if not mine and not alone and row.expires_at > now:
        return None
    generation = row.generation if mine else row.generation + 1
    moved = _RENEW.run(
        tx.connection,
        of=name,
        was=row.generation,
        held_by=row.holder,
        holder=holder,
        generation=generation,
        expires_at=expires_at,
    )
    return Lease(name=name, holder=holder, generation=generation) if moved == 1 else None


def give_back(tx: Tx, lease: Lease) -> None:
    """Ends a lease that is still held, so that the next one need not wait for its end."""
    tx.connection.execute(
        update(leases)
        .where(leases.c.name == lease.name, leases.c.generation == lease.generation, leases.c.holder == lease.holder)
        .values(expires_at=tx.lease_time())
    )
    tx.nudges.add(lease.name)


def holder(tx: Tx, name: str) -> str | None:
    """Who holds the lease now; None when it has run out."""
    row = _BY_NAME.struct(tx.connection, name=name)
    return row.holder if row is not None and row.expires_at > tx.lease_time() else None


def check(tx: Tx, lease: Lease) -> None:
    """Raises Fenced unless the lease is still this holder's, in this generation."""
    row = _BY_NAME.struct(tx.connection, name=lease.name)
    if (
        row is None
        or (row.holder, row.generation) != (lease.holder, lease.generation)
        or row.expires_at <= tx.lease_time()
    ):
        raise Fenced(f"{lease.name}: the lease of {lease.holder} (generation {lease.generation}) is over.")
