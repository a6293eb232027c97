"""Takes hosts away that were not heard of for so long that nobody expects them back (R15).

With them go their slots, their tokens and the rows that woke them. What is told of a token that
opens nothing any more is forgotten after the same time.
"""

from datetime import datetime

from sqlalchemy import Connection, and_, delete, exists, func, literal, or_, select

from andon.model.enrolment import TokenState
from andon.model.journal import Entry
from andon.store import disks, workspaces
from andon.store.bulk import insert_new
from andon.store.schema import LIVE_CLAIM, claims, enrolment_tokens, host_tokens, hosts, nudges, slots
from andon.store.transaction import Tx

_WAKES_HOST = "host:"
"""How names in `nudges` begin that wake one host."""
_heard = func.coalesce(hosts.c.last_seen, hosts.c.enrolled_at, type_=hosts.c.enrolled_at.type)
_serves = exists().where(claims.c.host == hosts.c.name, LIVE_CLAIM)


def forget_gone_hosts(tx: Tx, *, before: datetime, most: int) -> tuple[str, ...]:
    """Takes away at most `most` hosts that were heard last before `before`; gives their names.

    A host with a live claim stays: the claim's own deadlines come first. A host that comes back is
    told that its token opens nothing any more, and enrols anew.
    """
    rows = tx.connection.execute(
        select(hosts.c.name, hosts.c.intent, _heard.label("heard"), host_tokens.c.token_hash)
        .outerjoin(host_tokens, host_tokens.c.host == hosts.c.name)
        .where(_heard < before, ~_serves)
        .order_by(hosts.c.name)
        .limit(most)
    ).all()
    for row in rows:
        reason = f"the host was not heard of since {row.heard.isoformat()}"
        for table, column in ((hosts, hosts.c.name), (slots, slots.c.host), (host_tokens, host_tokens.c.host)):
            tx.connection.execute(delete(table).where(column == row.name))
        workspaces.forget(tx, row.name)
        disks.forget(tx, row.name)
        if row.token_hash is not None:
            told = {
                "token_hash": row.token_hash,
                "host": row.name,
                "state": TokenState.REVOKED.value,
                "reason": reason,
                "expires_at": None,
                "created_at": tx.now,
                "since": tx.now,
            }
            insert_new(tx.connection, enrolment_tokens, [told])
        tx.record(
            Entry(
                actor="loop:retention",
                kind="host.removed",
                subject_kind="host",
                subject_id=row.name,
                from_state=row.intent,
                reason=reason,
                host=row.name,
            )
        )
    if rows:
        tx.nudges.add("pages")
    _forget_traces(tx.connection, tx.now, before)
    return tuple(row.name for row in rows)


def _forget_traces(connection: Connection, now: datetime, before: datetime) -> None:
    """What is left of hosts that are no more, however they went."""
    no_host = ~select(hosts.c.name).where(nudges.c.name == literal(_WAKES_HOST).concat(hosts.c.name)).exists()
    connection.execute(delete(nudges).where(nudges.c.name.startswith(_WAKES_HOST), no_host))
    over = or_(
        enrolment_tokens.c.state != TokenState.GRANTED.value,
        and_(enrolment_tokens.c.expires_at.is_not(None), enrolment_tokens.c.expires_at < now),
    )
    connection.execute(delete(enrolment_tokens).where(enrolment_tokens.c.since < before, over))
